"""Facts that qualify."""

from ffmem.studies.meng2022.known import found_of
from ffmem.studies.results import Findings


def test_facts_that_qualify_are_counted(edit_findings: Findings) -> None:
    found = found_of(edit_findings)
    known = [one for one in found.facts if one.is_known]
    assert all(one.told.strip() == one.old for one in known)
    assert not any(one.told.strip() == one.old for one in found.facts if not one.is_known)
    assert found.known.value == len(known) / len(found.facts)
    assert sum(one.is_edited for one in found.facts) == found.n_edited == 2
