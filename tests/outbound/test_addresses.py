"""Rows 28 and 29 of the abuse table: which addresses may be called at all."""

from __future__ import annotations

import ipaddress

import pytest

from backend.errors import StartFailed, UrlNotAllowed
from backend.outbound.addresses import Rules, judge, read_ports
from backend.outbound.public_addresses import is_public, may_be_named
from tests.outbound.peers import PUBLIC

NOT_PUBLIC = """
127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 10.0.0.1 172.16.0.1 172.31.255.255 192.168.1.1
169.254.169.254 168.63.129.16
100.64.0.1 192.0.0.8 192.0.2.1 192.88.99.1 198.18.0.1 198.51.100.1 203.0.113.1
224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.255
:: ::1 ::7f00:1 ::ffff:127.0.0.1 ::ffff:10.0.0.1 ::ffff:169.254.169.254 64:ff9b::7f00:1
64:ff9b::a9fe:a9fe 64:ff9b:1::808:808 2002:7f00:1:: 2002:a00:1::1
2001:0:4136:e378:8000:63bf:3fff:fdd2
2001:db8::1 fe80::1 fec0::1 fc00::1 fd00:ec2::254 ff02::1 3fff::1 5f00::1 100::1
"""
PUBLIC_ONES = "8.8.8.8 1.1.1.1 172.32.0.1 2606:4700::1111 ::ffff:8.8.8.8 64:ff9b::808:808"


@pytest.mark.parametrize("text", NOT_PUBLIC.split())
def test_addresses_that_lead_into_our_own_network_are_not_public(text):
    assert not is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", PUBLIC_ONES.split())
def test_addresses_of_the_internet_are_public(text):
    assert is_public(ipaddress.ip_address(text))


@pytest.mark.parametrize(
    ("text", "allowed"),
    [("192.168.1.5", True), ("127.0.0.1", True), ("::1", True), ("fd12::1", True),
     ("100.64.7.7", True), ("8.8.8.8", True), ("::ffff:10.0.0.1", True),
     ("169.254.169.254", False), ("::ffff:169.254.169.254", False), ("fe80::1", False),
     ("0.0.0.0", False), ("::", False), ("224.0.0.1", False), ("255.255.255.255", False),
     ("240.0.0.1", False), ("fd00:ec2::254", False), ("100.100.100.200", False),
     ("168.63.129.16", False)],
)  # fmt: skip
def test_a_named_host_may_be_local_but_never_serve_credentials(text, allowed):
    assert may_be_named(ipaddress.ip_address(text)) is allowed


def never(host, port, within_s):
    raise AssertionError(f"{host} was looked up")


REFUSED = {
    "loopback": "http://127.0.0.1/",
    "loopback with a port": "http://127.0.0.1:80/",
    "ipv6 loopback": "http://[::1]/",
    "unspecified": "http://0.0.0.0/",
    "ipv6 unspecified": "http://[::]/",
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "private": "http://10.0.0.1/",
    "mapped": "http://[::ffff:127.0.0.1]/",
    "mapped in hex": "http://[::ffff:7f00:1]/",
    "nat64": "http://[64:ff9b::127.0.0.1]/",
    "zone": "http://[fe80::1%25eth0]/",
    "zone of a public one": "http://[2606:4700::1111%25eth0]/",
    "decimal": "http://2130706433/",
    "decimal of a public one": "http://134744072/",
    "hexadecimal": "http://0x7f000001/",
    "hexadecimal part": "http://0x7f.0.0.1/",
    "bare 0x": "http://127.0.0.0x/",
    "octal": "http://0177.0.0.1/",
    "short": "http://127.1/",
    "zero": "http://0/",
    "trailing dot": "http://127.0.0.1./",
    "full-width digits": "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
    "circled digits": "http://①②⑦.⓪.⓪.①/",
    "ideographic dots": "http://127。0。0。1/",
    "user": "http://user@example.org/",
    "user that looks like a host": "http://example.org@127.0.0.1/",
    "empty user": "http://@example.org/",
    "backslash": "http://example.org\\@127.0.0.1/",
    "tab": "http://exam\tple.org/",
    "line break": "http://example.org/\r\nX-Evil: 1",
    "space": "http://example.org /",
    "nul": "http://example.org\x00.evil/",
    "file": "file:///etc/passwd",
    "gopher": "gopher://example.org:80/_GET",
    "ftp": "ftp://example.org/a.png",
    "data": "data:image/png;base64,AAAA",
    "no scheme": "//example.org/a.png",
    "no host": "http:///a.png",
    "only a path": "/a.png",
    "nothing": "",
    "redis": "http://example.org:6379/",
    "ssh": "https://example.org:22/",
    "port 0": "http://example.org:0/",
    "no port": "http://example.org:/",
    "port word": "http://example.org:http/",
    "port too big": "http://example.org:99999/",
    "percent in host": "http://127%2e0%2e0%2e1/",
    "two dots": "http://example..org/",
    "two trailing dots": "http://example.org../",
    "leading hyphen": "http://-example.org/",
    "bad bracket": "http://[::1/",
    "long": "http://example.org/" + "a" * 3000,
    "long label": f"http://{'a' * 64}.org/",
}


@pytest.mark.parametrize("row", REFUSED)
def test_row_28_an_address_that_breaks_a_rule_is_not_even_looked_up(row):
    with pytest.raises(UrlNotAllowed):
        judge(REFUSED[row], Rules(), never, 1)


@pytest.mark.parametrize(
    "answers",
    [["127.0.0.1"], ["10.1.2.3"], ["::1"], [PUBLIC, "192.168.0.1"], ["fe80::1%eth0"], [],
     ["::ffff:127.0.0.1"], [PUBLIC, PUBLIC, "0.0.0.0"]],
)  # fmt: skip
@pytest.mark.parametrize("host", ["site.example", "localhost", "localhost.", "bücher.example"])
def test_row_29_all_addresses_of_a_name_must_be_public(host, answers):
    with pytest.raises(UrlNotAllowed):
        judge(f"https://{host}/", Rules(), lambda *_: answers, 1)


def test_what_is_judged_is_what_will_be_called():
    asked = []

    def resolve(host, port, within_s):
        asked.append((host, port, within_s))
        return [PUBLIC]

    target = judge(
        "HTTPS://Bücher.Example.:443/a b?q=ü#part".replace(" ", "%20"), Rules(), resolve, 3
    )
    assert asked == [("xn--bcher-kva.example", 443, 3)]
    assert (target.scheme, target.host, target.port) == ("https", "xn--bcher-kva.example", 443)
    assert target.path == "/a%20b?q=%C3%BC"
    assert target.addresses == (PUBLIC,)
    assert target.authority == "xn--bcher-kva.example"


@pytest.mark.parametrize("tail", ["/\ud800", "/?\udfff", "/a#\udc00"])
def test_half_a_surrogate_is_refused_like_any_other_odd_character(tail):
    """JSON can spell one, and no request could carry it."""
    with pytest.raises(UrlNotAllowed):
        judge(f"http://8.8.8.8{tail}", Rules(), never, 1.0)


def test_an_ip_address_is_itself():
    target = judge("http://[2606:4700::1111]:443/", Rules(), never, 1)
    assert (target.host, target.addresses) == ("2606:4700::1111", ("2606:4700::1111",))
    assert target.authority == "[2606:4700::1111]:443"
    assert judge("http://8.8.8.8", Rules(), never, 1).path == "/"


HTTPS = frozenset({"https"})


@pytest.mark.parametrize(
    ("named", "url", "allowed"),
    [
        (("nas.lan",), "http://nas.lan/hook", True),
        (("nas.lan",), "https://NAS.lan./hook", True),
        (("nas.lan",), "http://nas.lan:9000/hook", False),
        (("nas.lan:9000",), "http://nas.lan:9000/hook", True),
        (("nas.lan:9000",), "http://nas.lan/hook", False),
        (("nas.lan",), "http://other.lan/hook", False),
        (("nas.lan",), "http://x.nas.lan/hook", False),
        (("nas.lan",), "ftp://nas.lan/hook", False),
        (("nas.lan",), "http://u:p@nas.lan/hook", False),
        (("192.168.1.5:80",), "http://192.168.1.5/hook", True),
        (("[fd12::5]:81",), "http://[fd12::5]:81/hook", True),
        (("169.254.169.254",), "http://169.254.169.254/latest", False),
        ((), "https://nas.lan/hook", False),
        ((), "http://public.example/hook", False),
        ((), "https://public.example/hook", True),
    ],
)
def test_only_named_hosts_may_be_local_or_without_tls(named, url, allowed):
    rules = Rules(HTTPS, named_hosts=named)

    def resolve(host, port, within_s):
        return [PUBLIC] if host == "public.example" else ["192.168.1.5"]

    if allowed:
        judge(url, rules, resolve, 1)
    else:
        with pytest.raises(UrlNotAllowed):
            judge(url, rules, resolve, 1)


def test_a_named_host_that_turns_to_credentials_is_refused():
    with pytest.raises(UrlNotAllowed):
        judge("http://nas.lan/", Rules(named_hosts=("nas.lan",)), lambda *_: ["169.254.169.254"], 1)


def test_ports_of_a_setting():
    assert read_ports(("80", "8443")) == {80, 8443}
    for wrong in ((), ("http",), ("0",), ("65536",), ("80", "-1"), ("²",)):
        with pytest.raises(StartFailed):
            read_ports(wrong)
