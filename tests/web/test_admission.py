import ipaddress

import pytest

from exporter.web.admission import Place, forbidden, read, rule, usable


@pytest.mark.parametrize(
    ("text", "host", "port", "path"),
    [
        ("http://models.svc", "models.svc", 80, ""),
        ("https://Models.SVC/v1/", "models.svc", 443, "/v1"),
        ("http://10.0.0.1:8080/a?key=v", "10.0.0.1", 8080, "/a"),
        ("http://[2001:DB8:0::1]:8080/", "2001:db8::1", 8080, ""),
        ("10.0.0.1:9000", "10.0.0.1", 9000, ""),
        ("model_server-0:9000/v2", "model_server-0", 9000, "/v2"),
        ("grpc://h:8001", "h", 8001, ""),
        ("http://1.example", "1.example", 80, ""),
    ],
)
def test_a_url_is_read_in_one_way(text: str, host: str, port: int, path: str) -> None:
    place = read(text)
    assert (place.host, place.port, place.path) == (host, port, path)


@pytest.mark.parametrize(
    "text",
    [
        "http://0x7f.1/", "http://0x7f000001/", "http://2130706433/", "http://127.1/", "http://0177.0.0.1/",
        "http://127.0.0.1./", "http://models.svc./", "http://1.2.3.4.5/", "http://256.1.1.1/", "http://0x/",
        "http://ok@evil/", "http://ok:pw@evil/", "http://ok%40evil/", "http://evil\\@ok/", "http://ok\\.evil/",
        "http://m\u043edels.svc/", "http://models\u3002svc/", "http://\uff11\uff12\uff17.0.0.1/", "http://m\u00f6del/",
        "http://127.0.0.1%00.ok/", "http://a\x00b/", "http://a b/", "http://a\tb/", "http://a\r\nb/", " http://a/",
        "http://[::1/", "http://[fe80::1%25eth0]/", "http://[v1.x]/", "http://[127.0.0.1]/", "http://::1/",
        "http://h:0/", "http://h:65536/", "http://h:99999999999/", "http://h:8x/", "http://h:/", "http://h:80:80/",
        "http://h:\u0661/", "http://h:+80/", "http://h: 80/", "http:///x", "http://", "", "/", "//evil/", "http:/evil",
        "http:evil", "file:///etc/passwd", "unix:///run/x.sock", "gopher://h:70/", "javascript://h/", "tcp://h",
        "http://h/#frag", "http://h/a/../b", "http://h/%2e%2e/b", "http://h/.%2E/b", "http://h/a%2F..%2Fb",
        "http://-h/", "http://h..i/", "http://" + "a" * 64 + "/", "http://h/" + "a" * 3000,
    ],
)  # fmt: skip
def test_what_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        read(text)


@pytest.mark.parametrize(
    "address",
    [
        "169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "224.0.0.1", "239.1.1.1", "ff02::1", "0.0.0.0",
        "0.1.2.3", "::", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::a00:1",
        "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2", "255.255.255.255", "240.0.0.1", "fd00:ec2::254", "100.100.100.200",
    ],
)  # fmt: skip
def test_addresses_no_list_can_allow(address: str) -> None:
    assert forbidden(ipaddress.ip_address(address))
    place = read(f"http://[{address}]/" if ":" in address else f"http://{address}/")
    everything = [rule("0.0.0.0/0"), rule("::/0"), rule("*")]
    assert usable(place, [address], everything, configured=False) == ()
    assert usable(place, [address], everything, configured=True) == ()


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "192.168.1.1", "8.8.8.8", "2001:db8::1", "fd00::1"]
)
def test_ordinary_addresses_are_a_matter_of_the_list(address: str) -> None:
    assert forbidden(ipaddress.ip_address(address)) == ""


@pytest.mark.parametrize(
    ("entry", "url", "address", "allowed"),
    [
        ("10.0.0.0/8", "http://10.1.2.3:9/", "10.1.2.3", True),
        ("10.0.0.0/8", "http://11.0.0.1/", "11.0.0.1", False),
        ("10.0.0.0/8", "http://name/", "10.1.2.3", True),
        ("10.0.0.0/8", "http://name/", "11.1.2.3", False),
        ("10.0.0.0/8:8080", "http://10.1.2.3:8080/", "10.1.2.3", True),
        ("10.0.0.0/8:8080", "http://10.1.2.3:8081/", "10.1.2.3", False),
        ("10.1.2.3", "http://10.1.2.3/", "10.1.2.3", True),
        ("10.1.2.3:80", "http://10.1.2.3/", "10.1.2.3", True),
        ("[fd00::/8]:8000", "http://[fd00::5]:8000/", "fd00::5", True),
        ("[fd00::/8]:8000", "http://[fd00::5]:8001/", "fd00::5", False),
        ("fd00::/8", "http://[fd00::5]/", "fd00::5", True),
        ("0.0.0.0/0", "http://[fd00::5]/", "fd00::5", False),
        ("*.models.svc:8080", "http://a.models.svc:8080/x", "10.0.0.9", True),
        ("*.models.svc:8080", "http://A.Models.svc:8080/", "10.0.0.9", True),
        ("*.models.svc:8080", "http://a.models.svc/", "10.0.0.9", False),
        ("*.models.svc", "http://models.svc/", "10.0.0.9", False),
        ("*.models.svc", "http://a.models.svc.evil/", "10.0.0.9", False),
        ("*.models.svc", "http://xmodels.svc/", "10.0.0.9", False),
        ("a.models.svc", "http://aXmodels.svc/", "10.0.0.9", False),
        ("10.*", "http://10.0.0.9/", "10.0.0.9", False),
        ("*", "http://name/", "10.0.0.9", True),
        ("*", "http://10.0.0.9/", "10.0.0.9", True),
        ("*:8080", "http://10.0.0.9/", "10.0.0.9", False),
        ("10.0.0.0/8:*", "http://10.1.2.3:9/", "10.1.2.3", True),
        ("[fd00::]/8:8000", "http://[fd00::5]:8000/", "fd00::5", True),
        ("[fd00::]/8", "http://[fe00::5]/", "fe00::5", False),
        ("A.Models.SVC", "http://a.models.svc/", "10.0.0.9", True),
    ],
)
def test_the_allow_list(entry: str, url: str, address: str, allowed: bool) -> None:
    assert usable(read(url), [address], [rule(entry)], configured=False) == ((address,) if allowed else ())


def test_of_a_names_addresses_only_the_good_ones_are_used() -> None:
    place = read("http://name/")
    found = ["169.254.169.254", "10.0.0.1", "192.168.0.1", "nonsense", "10.0.0.2"]
    assert usable(place, found, [rule("10.0.0.0/8")], configured=False) == ("10.0.0.1", "10.0.0.2")
    assert usable(place, found, [], configured=True) == ("10.0.0.1", "192.168.0.1", "10.0.0.2")


def test_a_name_no_entry_could_cover_need_not_be_looked_up() -> None:
    place = read("http://name:8080/")
    assert not rule("*.svc").may_cover(place)
    assert not rule("10.0.0.0/8:80").may_cover(place)
    assert rule("10.0.0.0/8").may_cover(place)


@pytest.mark.parametrize(
    "entry", ["", ":80", "h:x", "h:0", "h:99999", "http://h", "a b", "10.0.0.0/33", "h/8", "[::1", "[x]:1"]
)
def test_entries_that_mean_nothing_are_refused(entry: str) -> None:
    with pytest.raises(ValueError, match="allowed"):
        rule(entry)


def test_a_place_knows_whether_it_is_an_address() -> None:
    assert read("http://10.0.0.1").address == ipaddress.ip_address("10.0.0.1")
    assert Place("", "http", "name", 80, "").address is None
