"""Who is let in, as the options of `ffmem serve` say; what would let everybody in is refused."""

from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.server.sharing.settings import Sharing, SharingOptions, decide, is_read_only

LINE = "write ann 0123456789abcdefghij"


@pytest.fixture
def tokens(tmp_path: Path) -> str:
    file = tmp_path / "tokens.txt"
    file.write_text(LINE)
    file.chmod(0o600)
    return str(file)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_this_machine_needs_no_login_and_may_write(host: str) -> None:
    found = decide(SharingOptions(), host, None, {})
    assert found == Sharing() and not found.needs_login
    assert not is_read_only(SharingOptions(), found, False) and is_read_only(SharingOptions(), found, True)


@pytest.mark.parametrize(
    ("host", "name"), [("0.0.0.0", None), ("192.0.2.1", None), ("127.0.0.1", "ffmem.example"), ("::", None)]
)
def test_elsewhere_somebody_must_say_who_comes_in(host: str, name: str | None, tokens: str) -> None:
    with pytest.raises(InputError) as error:
        decide(SharingOptions(), host, name, {})
    assert error.value.got == f"the explorer would be open to everybody who reaches {name or host}"
    assert "--token-file" in error.value.expected and "share-an-explorer.md" in error.value.mend
    for options, environment in (
        (SharingOptions(token_file=tokens), {}),
        (SharingOptions(), {"FFMEM_TOKEN": LINE}),
        (SharingOptions(behind_proxy="127.0.0.1"), {}),
    ):
        found = decide(options, host, name, environment)
        assert found.needs_login and is_read_only(options, found, False)
    assert not is_read_only(SharingOptions(token_file=tokens, writable=True), found, False)


def test_a_proxy_names_visitors_only_where_tokens_do_not(tokens: str) -> None:
    named = decide(SharingOptions(behind_proxy="::1", user_header="Remote-User"), "127.0.0.1", None, {})
    assert (named.proxy, named.user_header, named.tokens) == ("::1", "remote-user", None)
    assert decide(SharingOptions(behind_proxy="127.0.0.1"), "::1", None, {}).user_header == "x-forwarded-user"
    both = decide(SharingOptions(behind_proxy="127.0.0.1", token_file=tokens), "127.0.0.1", None, {})
    assert both.user_header is None and both.tokens is not None and both.proxy == "127.0.0.1"


@pytest.mark.parametrize(
    ("options", "got"),
    [
        ({"user_header": "X-User"}, "--user-header is given without --behind-proxy"),
        ({"behind_proxy": "127.0.0.1", "user_header": "a b"}, "--user-header is 'a b'"),
        ({"behind_proxy": "proxy.example"}, "--behind-proxy is 'proxy.example'"),
        ({"embed_in": "https://a.example/path"}, "--embed-in is 'https://a.example/path'"),
        ({"embed_in": "*"}, "--embed-in is '*'"),
        ({"embed_in": "https://a.example; script-src *"}, "--embed-in is 'https://a.example; script-src *'"),
        ({"embed_in": ""}, "--embed-in is ''"),
        ({"embed_public": True}, "--embed-public is given without --embed-in"),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, object], got: str) -> None:
    with pytest.raises(InputError) as error:
        decide(SharingOptions(**options), "127.0.0.1", None, {})  # type: ignore[arg-type]
    assert error.value.got == got and error.value.expected and error.value.mend


def test_options_that_say_two_things(tokens: str) -> None:
    with pytest.raises(InputError, match="with tokens"):
        decide(SharingOptions(token_file=tokens, behind_proxy="::1", user_header="X-User"), "::1", None, {})
    with pytest.raises(InputError, match="both given"):
        is_read_only(SharingOptions(writable=True), Sharing(), True)


def test_origins_are_those_of_frames() -> None:
    options = SharingOptions(embed_in="https://A.example, http://localhost:3000,http://[::1]:80")
    found = decide(options, "127.0.0.1", None, {})
    assert found.embed_in == ("https://a.example", "http://localhost:3000", "http://[::1]:80")
