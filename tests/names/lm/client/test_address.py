import pytest

from ffmem import InputError
from ffmem.names.lm.client.address import Address, Key, check_may_send, parse_address, read_key


@pytest.mark.parametrize(
    ("text", "url", "local", "secure"),
    [
        ("http://127.0.0.1:8080/v1", "http://127.0.0.1:8080/v1", True, False),
        (" http://localhost:8080/v1/ ", "http://localhost:8080/v1", True, False),
        ("http://[::1]:8080/v1", "http://[::1]:8080/v1", True, False),
        ("http://127.8.9.10/v1", "http://127.8.9.10/v1", True, False),
        ("HTTPS://API.Example.com/v1", "https://api.example.com/v1", False, True),
        ("http://192.168.0.7/v1", "http://192.168.0.7/v1", False, False),
        # what looks like this machine and is another, or may be
        ("http://localhost.example.com/v1", "http://localhost.example.com/v1", False, False),
        ("http://127.0.0.1.example.com/v1", "http://127.0.0.1.example.com/v1", False, False),
        ("http://box.localhost/v1", "http://box.localhost/v1", False, False),
        ("http://0.0.0.0:80/v1", "http://0.0.0.0:80/v1", False, False),
        ("http://2130706433/v1", "http://2130706433/v1", False, False),
        ("http://[::ffff:10.0.0.1]/v1", "http://[::ffff:10.0.0.1]/v1", False, False),
    ],
)
def test_an_address_says_whether_it_is_this_machine(text: str, url: str, local: bool, secure: bool) -> None:
    address = parse_address(text)
    assert (address.url, address.local, address.secure) == (url, local, secure)


@pytest.mark.parametrize(
    "text",
    [
        "http://me:s3cret@host/v1", "http://s3cret@host/v1", "https://host/v1?key=s3cret", "https://host/v1#s3cret",
        "ftp://me:s3cret@host/v1", "me:s3cret@host", "http://me:s3cret@host:99999/v1", "http://[s3cret@x", "https://h?s3cret",
    ],
)  # fmt: skip
def test_what_may_be_secret_in_an_address_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InputError) as error:
        parse_address(text)
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize(
    "text", ["", "localhost:8080", "http://", "http:///v1", "file:///etc", "http://a b/v1", "http://ä/"]
)
def test_what_is_no_address_is_refused_with_one_that_is(text: str) -> None:
    with pytest.raises(InputError, match=r"--server http://127\.0\.0\.1:8080/v1"):
        parse_address(text)


HERE = parse_address("http://127.0.0.1:8080/v1")
OPENAI = parse_address("https://api.openai.com/v1")
OTHER = parse_address("https://api.example.com/v1")


@pytest.mark.parametrize(
    ("address", "variable", "environment", "secret"),
    [
        (HERE, None, {}, None),
        (HERE, None, {"FFMEM_API_KEY": " k1\n"}, "k1"),
        (OPENAI, None, {"OPENAI_API_KEY": "k2"}, "k2"),
        (OPENAI, None, {"OPENAI_API_KEY": "k2", "FFMEM_API_KEY": "k1"}, "k1"),
        # the key to one company goes to no other
        (OTHER, None, {"OPENAI_API_KEY": "k2"}, None),
        (HERE, None, {"OPENAI_API_KEY": "k2"}, None),
        (OTHER, "OPENAI_API_KEY", {"OPENAI_API_KEY": "k2"}, "k2"),
        (OTHER, "MINE", {"MINE": "k3", "FFMEM_API_KEY": "k1"}, "k3"),
    ],
)
def test_a_key_comes_from_the_environment(
    address: Address, variable: str | None, environment: dict[str, str], secret: str | None
) -> None:
    key = read_key(address, variable, environment)
    assert (key and key.secret) == secret


def test_a_key_that_is_none_is_refused_and_not_repeated() -> None:
    with pytest.raises(InputError, match="MINE is not set"):
        read_key(OTHER, "MINE", {"MINE": " "})
    for bad in ("two words", "line\r\nX-Header: s", "schlüssel"):
        with pytest.raises(InputError, match="FFMEM_API_KEY has spaces or special") as error:
            read_key(OTHER, None, {"FFMEM_API_KEY": bad})
        assert bad not in str(error.value)


def test_a_key_is_not_shown() -> None:
    key = Key("s3cret", "X")
    assert "s3cret" not in f"{key} {key!r}" and key.hidden_in("is s3cret ok?") == "is *** ok?"


def test_text_leaves_the_machine_only_if_somebody_says_so() -> None:
    what = "22 pieces of text for each of 320 cells"
    check_may_send(HERE, Key("k", "X"), False, what)
    check_may_send(OTHER, Key("k", "X"), True, what)
    check_may_send(parse_address("http://192.168.0.7/v1"), None, True, what)
    with pytest.raises(
        InputError, match=rf"api.example.com is another machine: {what} would be sent there\. .*--send-text"
    ):
        check_may_send(OTHER, None, False, what)
    with pytest.raises(InputError, match="sent there, unencrypted"):
        check_may_send(parse_address("http://192.168.0.7/v1"), None, False, what)
    with pytest.raises(InputError, match="not encrypted, and the key in X would"):
        check_may_send(parse_address("http://192.168.0.7/v1"), Key("k", "X"), True, what)
