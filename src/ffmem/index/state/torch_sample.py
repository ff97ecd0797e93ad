"""A sample of the positions of every cell, kept as tensors on any device: what `sample.CpuSample` keeps, by the same rules."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int32, Int64
from torch import Tensor

from ffmem.index.state.places import Places
from ffmem.index.state.sample import largest_bins
from ffmem.store.fields import SAMPLE_FIELDS
from ffmem.store.keys import EMPTY
from ffmem.store.strata import BIN_SHIFT, N_ACTIVE, N_HALF_OCTAVES, NO_BIN

_MOST = 2**22
"""Coefficients that compete at a time: so the memory that this takes is bounded."""


class TorchSample:
    """The sample of some cells.

    Args:
        n_signs: 2 where negative coefficients have strata of their own, else 1.
        sizes: length of each axis: see `fields.axis_sizes`.
        device: where.

    Cost: of the device, n_cells x strata x (12 x sample + 8) bytes, as much again once a shard has begun that can be rolled
    back, and some 300 MB while it observes.
    """

    def __init__(self, n_signs: int, sizes: dict[str, int], device: torch.device | str) -> None:
        self._arrays = {field.name: torch.from_numpy(field.empty(sizes)).to(device) for field in SAMPLE_FIELDS}
        self._bins = torch.full((n_signs, sizes["cells"]), NO_BIN, dtype=torch.int32, device=device)
        self._kept: list[Tensor] = []

    def observe(self, coefficients: Float[Tensor, "sentences positions cells"], places: Places) -> None:
        """Let the coefficients of one batch compete."""
        assert places.sample_keys is not None
        there = places.on(coefficients.device, every_position=True)
        for sentences, positions in torch.split(there.rows, max(_MOST // coefficients.shape[2], 1), dim=1):
            if len(sentences):
                values = coefficients[sentences, positions + places.first_position].float()
                self._observe(values, there.sample_keys[sentences, positions])

    def _observe(self, values: Float32[Tensor, "rows cells"], sample_keys: Int64[Tensor, "rows"]) -> None:
        bits = values.view(torch.int32)
        self._make_room(bits)
        self._compete(values, self._strata(bits), sample_keys)

    def _make_room(self, bits: Int32[Tensor, "rows cells"]) -> None:
        """Move down the strata of those cells that now have a larger coefficient than before."""
        for sign, bins in enumerate(self._bins):
            found = torch.where(bits > 0, bits, NO_BIN) if sign == 0 else _magnitudes_of_negative(bits)
            top = torch.maximum(bins, (found >> BIN_SHIFT).max(0).values)
            rise = torch.where(bins == NO_BIN, 0, top - bins)  # where there was nothing, there is nothing to move
            bins.copy_(top)
            moved = rise.nonzero().squeeze(1)
            if len(moved):
                self._move_down(
                    moved, rise[moved].clamp(max=N_HALF_OCTAVES), slice(sign * N_ACTIVE, (sign + 1) * N_ACTIVE)
                )

    def _move_down(self, cells: Int64[Tensor, "moved"], rise: Int32[Tensor, "moved"], strata: slice) -> None:
        keys, coefficients, counts = (self._arrays[field.name][cells, strata] for field in SAMPLE_FIELDS)
        places = torch.arange(N_ACTIVE, device=cells.device)
        source = places - rise[:, None]  # from where what comes to each place
        stays = (source >= 0) & (places < N_HALF_OCTAVES)
        source = source.clamp_min(0)
        lists = source[:, :, None].expand(keys.shape)
        new_keys = torch.where(stays[:, :, None], keys.gather(1, lists), EMPTY)
        new_coefficients = torch.where(stays[:, :, None], coefficients.gather(1, lists), 0.0)
        new_counts = torch.where(stays, counts.gather(1, source), 0)
        sinks: Bool[Tensor, "moved strata"] = places + rise[:, None] >= N_HALF_OCTAVES
        sunk = torch.where(sinks[:, :, None], keys, EMPTY).flatten(1)
        best = sunk.topk(keys.shape[2], dim=1)
        new_keys[:, N_HALF_OCTAVES] = best.values
        new_coefficients[:, N_HALF_OCTAVES] = coefficients.flatten(1).gather(1, best.indices) * (best.values != EMPTY)
        new_counts[:, N_HALF_OCTAVES] = (counts * sinks).sum(1)
        for field, array in zip(SAMPLE_FIELDS, (new_keys, new_coefficients, new_counts), strict=True):
            self._arrays[field.name][cells, strata] = array

    def _strata(self, bits: Int32[Tensor, "rows cells"]) -> Int64[Tensor, "rows cells"]:
        """The stratum of each coefficient."""
        found = torch.full(bits.shape, len(self._bins) * N_ACTIVE, dtype=torch.int64, device=bits.device)
        for sign, bins in enumerate(self._bins):
            size = bits if sign == 0 else _magnitudes_of_negative(bits)
            below = (bins - (size >> BIN_SHIFT)).clamp(0, N_HALF_OCTAVES) + sign * N_ACTIVE
            found = torch.where(size > 0, below.long(), found)
        return found

    def _compete(
        self,
        values: Float32[Tensor, "rows cells"],
        strata: Int64[Tensor, "rows cells"],
        sample_keys: Int64[Tensor, "rows"],
    ) -> None:
        n_strata = self._arrays["sample_count"].shape[1]
        keys, coefficients, counts = (self._arrays[field.name].flatten(0, 1) for field in SAMPLE_FIELDS)
        lists = strata + torch.arange(values.shape[1], device=values.device) * n_strata
        counts += torch.bincount(lists.flatten(), minlength=len(counts))
        rows, cells = (sample_keys[:, None] > keys[:, -1][lists]).nonzero(as_tuple=True)
        if not len(rows):
            return
        # those of one list beside each other, the largest key first
        largest_first = sample_keys[rows].argsort(descending=True)
        rows, cells = rows[largest_first], cells[largest_first]
        chosen = lists[rows, cells]
        by_list = chosen.argsort(stable=True)
        rows, cells, chosen = rows[by_list], cells[by_list], chosen[by_list]
        touched, n_new = torch.unique_consecutive(chosen, return_counts=True)
        rank = torch.arange(len(chosen), device=chosen.device) - (n_new.cumsum(0) - n_new).repeat_interleave(n_new)
        of_list = torch.arange(len(touched), device=chosen.device).repeat_interleave(n_new)
        first = rank < keys.shape[1]  # no more can stay
        rows, cells, rank, of_list = rows[first], cells[first], rank[first], of_list[first]
        new_keys = torch.full((len(touched), keys.shape[1]), EMPTY, dtype=torch.int64, device=keys.device)
        new_coefficients = torch.zeros(new_keys.shape, dtype=torch.float32, device=keys.device)
        new_keys[of_list, rank] = sample_keys[rows]
        new_coefficients[of_list, rank] = values[rows, cells]
        best = torch.cat((keys[touched], new_keys), dim=1).topk(keys.shape[1], dim=1)
        both = torch.cat((coefficients[touched], new_coefficients), dim=1)
        keys[touched] = best.values
        coefficients[touched] = both.gather(1, best.indices)

    def state(self) -> dict[str, np.ndarray]:
        """The fields of a sample, by name."""
        return {name: tensor.cpu().numpy() for name, tensor in self._arrays.items()}

    def keep(self) -> None:
        """Remember what there is, for `roll_back`."""
        self._kept = [self._bins.clone(), *(tensor.clone() for tensor in self._arrays.values())]

    def roll_back(self) -> None:
        """Be as when it was to be kept."""
        for tensor, kept in zip((self._bins, *self._arrays.values()), self._kept, strict=True):
            tensor.copy_(kept)

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        for name, tensor in self._arrays.items():
            tensor.copy_(torch.from_numpy(state[name]))
        self._bins.copy_(torch.from_numpy(largest_bins(state, len(self._bins))))


def _magnitudes_of_negative(bits: Int[Tensor, "*n"]) -> Int[Tensor, "*n"]:
    """Bits of the magnitudes of numbers below 0, NO_BIN for others: -0, too, is none of them."""
    magnitudes = bits & (2**31 - 1)
    return torch.where((bits < 0) & (magnitudes > 0), magnitudes, NO_BIN)
