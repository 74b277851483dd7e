"""Downloads from a real server on loopback that is as unkind as servers are: fenced in, bounded, whole or not at all."""

import asyncio
import gzip
import os
import socket
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.clock import SystemClock
from gateway.core.pace import Pace
from gateway.outbound.address import AllowList, parse_allow_list
from gateway.outbound.fetch import Fetched, Fetcher, FetchFailed, FetchOptions, FetchRefused
from tests.support.website import HANG, Asked, Script, Site, head, ok, redirect

DATA = b"".join(b"%d,some text,%d.5\n" % (number, number) for number in range(20_000))
LIMIT = 10_000_000
QUICK = FetchOptions(pause_seconds=0.0)
# For servers that hang: moments instead of half a minute.
HASTY = replace(QUICK, answer_seconds_max=0.3, pace=Pace(silence_seconds_max=0.3))


def fetcher(site: Site | None, options: FetchOptions = QUICK, resolve=None) -> Fetcher:
    """A fetcher that may reach `site`, by its address and port alone."""
    allow = parse_allow_list(f"127.0.0.1:{site.port}") if site else AllowList()
    more = {} if resolve is None else {"resolve": resolve}
    return Fetcher(replace(options, allow=allow), SystemClock(), **more)


def leads_to(*answers: list[str]):
    """A resolver that gives one answer after the other, and keeps what it was asked."""
    left = list(answers)
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return left.pop(0)

    resolve.asked = asked  # type: ignore[attr-defined]
    return resolve


def left_behind(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def refused(fetching: Fetcher, url: str, directory: Path, limit: int = LIMIT) -> str:
    """The sentence of the refusal, of which nothing is left."""
    with pytest.raises(FetchRefused) as caught:
        await fetching.fetch(url, directory / "f", bytes_max=limit)
    assert left_behind(directory) == []
    return str(caught.value)


async def failed(fetching: Fetcher, url: str, directory: Path) -> str:
    with pytest.raises(FetchFailed) as caught:
        await fetching.fetch(url, directory / "f", bytes_max=LIMIT)
    assert left_behind(directory) == []
    return str(caught.value)


# What comes


async def test_a_file_arrives_byte_for_byte_and_says_what_it_is(tmp_path):
    steps = []
    async with Site({"/dir/my%20file.csv": ok(DATA, Content_Type="Text/CSV; charset=ISO-8859-1")}) as site:
        got = await fetcher(site).fetch(
            site.url("/dir/my%20file.csv?sig=a%2Fb%7E"),
            tmp_path / "f",
            bytes_max=LIMIT,
            progress=lambda done, total: steps.append((done, total)),
        )

    assert (tmp_path / "f").read_bytes() == DATA
    assert left_behind(tmp_path) == ["f"]
    assert got == Fetched(len(DATA), "", "text/csv", "iso-8859-1", "my file.csv")
    assert steps[-1] == (len(DATA), len(DATA))
    assert steps == sorted(steps)
    # Signed URLs must arrive as they were written.
    assert site.paths == ["/dir/my%20file.csv?sig=a%2Fb%7E"]


async def test_a_file_of_megabytes_arrives_with_and_without_a_length(tmp_path):
    large = os.urandom(5_000_000)
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(large), large)
    pages = {"/a": ok(large), "/b": [head(Transfer_Encoding="chunked"), chunked], "/c": [head(), large]}
    async with Site(pages) as site:
        for path in pages:
            got = await fetcher(site).fetch(site.url(path), tmp_path / "f", bytes_max=LIMIT)
            assert got.size == len(large)
            assert (tmp_path / "f").read_bytes() == large


async def test_an_empty_file_is_a_file(tmp_path):
    async with Site({"/": ok(b"")}) as site:
        got = await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=LIMIT)

    assert got.size == 0
    assert (tmp_path / "f").read_bytes() == b""


async def test_a_compressed_answer_is_asked_for_by_nobody_and_kept_as_it_came(tmp_path):
    packed = gzip.compress(DATA)
    async with Site({"/": ok(packed, Content_Encoding="GZIP")}) as site:
        got = await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=LIMIT)

    assert got.encoding == "gzip"
    assert (tmp_path / "f").read_bytes() == packed
    assert site.asked[0].headers["accept-encoding"] == "identity"


async def test_nothing_of_ours_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    async with Site({"/a": [head("302 Found", Location="/b", Set_Cookie="a=b; Path=/")], "/b": ok(DATA)}) as site:
        await fetcher(site).fetch(site.url("/a"), tmp_path / "f", bytes_max=LIMIT)

    assert site.paths == ["/a", "/b"]
    for each in site.asked:
        assert set(each.headers) == {"host", "user-agent", "accept", "accept-encoding", "connection"}


async def test_a_user_in_the_url_is_told_to_its_host_only(tmp_path):
    async with Site({"/b": ok(DATA)}) as there, Site({"/a": redirect(there.url("/b"))}) as here:
        both = Fetcher(replace(QUICK, allow=parse_allow_list("127.0.0.1")), SystemClock())
        await both.fetch(f"http://user:secret@127.0.0.1:{here.port}/a", tmp_path / "f", bytes_max=LIMIT)

    assert here.asked[0].headers["authorization"].startswith("Basic ")
    assert "authorization" not in there.asked[0].headers


# Who may be asked


@pytest.mark.parametrize(
    "host",
    [
        *("127.0.0.1", "localhost", "LOCALHOST", "127.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "2130706433"),
        *("0.0.0.0", "[::]", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127。0。0。1", "①②⑦.0.0.1"),
        *("user@127.0.0.1", "example.com@127.0.0.1", "example.com:80@127.0.0.1", "%6Cocalhost"),
    ],
)
async def test_no_spelling_of_this_machine_reaches_it(tmp_path, host):
    async with Site({"/": ok(DATA)}) as site:
        with pytest.raises((FetchRefused, FetchFailed)):
            await fetcher(None).fetch(f"http://{host}:{site.port}/", tmp_path / "f", bytes_max=LIMIT)
        with pytest.raises((FetchRefused, FetchFailed)):
            await fetcher(None).sample(f"http://{host}:{site.port}/", 10)

    assert site.connections == 0
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("address", ["169.254.169.254", "[fd00:ec2::254]", "10.0.0.1", "100.100.100.200", "[fe80::1]"])
async def test_private_and_metadata_addresses_are_refused_without_a_connection(tmp_path, address):
    sentence = await refused(fetcher(None), f"http://{address}/latest/meta-data/", tmp_path)

    assert "outbound_allow" in sentence
    assert address not in sentence


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/passwd", "ftp://example.com/f", "gopher://127.0.0.1/", "data:text/csv,a", "javascript:1"),
        *(
            "",
            "example.com/f.csv",
            "//example.com/f",
            "http://",
            "http:///f",
            "http://example.com:99999/",
            "http://[::1",
        ),
        *("http://example.com/\r\nX: y", "http://exa\tmple.com/", "http://example.com\\@127.0.0.1/", "http://x:0/"),
        "http://example.com/" + "a" * 20_000,
    ],
)
async def test_what_is_no_http_url_is_refused(tmp_path, url):
    assert "URL" in await refused(fetcher(None), url, tmp_path)


async def test_a_name_that_leads_to_a_private_address_is_refused(tmp_path):
    async with Site({"/": ok(DATA)}) as site:
        inside = fetcher(None, resolve=leads_to(["127.0.0.1"], ["93.184.216.34", "127.0.0.1"]))
        one = await refused(inside, site.url(host="harmless.example"), tmp_path)
        several = await refused(inside, site.url(host="harmless.example"), tmp_path)

    assert "outbound_allow" in one == several
    assert site.connections == 0


async def test_a_name_is_resolved_once_and_the_answer_that_was_checked_is_connected_to(tmp_path):
    # The second answer, which a rebinding name server would give, is never asked for.
    async with Site({"/": ok(DATA)}) as site:
        resolve = leads_to(["127.0.0.1"], ["127.0.0.2"])
        await fetcher(site, resolve=resolve).fetch(site.url(host="rebound.example"), tmp_path / "f", bytes_max=LIMIT)

    assert resolve.asked == ["rebound.example"]
    assert site.asked[0].headers["host"] == f"rebound.example:{site.port}"


async def test_every_redirect_is_resolved_and_checked_anew(tmp_path):
    async with Site({"/": redirect("/again")}) as site:
        resolve = leads_to(["127.0.0.1"], ["127.0.0.2"])
        await refused(fetcher(site, resolve=resolve), site.url(host="rebound.example"), tmp_path)

    assert resolve.asked == ["rebound.example"] * 2
    assert site.paths == ["/"]


@pytest.mark.parametrize(
    "target",
    [
        *("http://169.254.169.254/latest/", "http://[::1]:{port}/inside", "http://localhost:{other}/inside"),
        *(
            "file:///etc/passwd",
            "gopher://127.0.0.1:{other}/",
            "//127.0.0.1:{other}/inside",
            "http://127.1:{other}/inside",
        ),
    ],
)
async def test_a_redirect_to_where_nobody_may_go_is_refused(tmp_path, target):
    async with Site({"/inside": ok(b"secret")}) as inside, Site({}) as site:
        site.pages = {"/": redirect(target.format(port=site.port, other=inside.port))}
        await refused(fetcher(site), site.url(), tmp_path)

    assert site.paths == ["/"]
    assert inside.connections == 0


async def test_a_host_on_the_list_may_be_asked_by_its_name_alone(tmp_path):
    async with Site({"/": ok(DATA)}) as site:
        named = Fetcher(replace(QUICK, allow=parse_allow_list(f"files.example:{site.port}")), SystemClock(), local)
        await named.fetch(site.url(host="Files.Example"), tmp_path / "f", bytes_max=LIMIT)
        (tmp_path / "f").unlink()
        await refused(named, site.url(host="other.example"), tmp_path)
        await refused(named, site.url(host="127.0.0.1"), tmp_path)

    assert len(site.asked) == 1


async def local(_host: str, _port: int) -> list[str]:
    return ["127.0.0.1"]


# Redirects


@pytest.mark.parametrize("status", ["301 x", "302 x", "303 x", "307 x", "308 x"])
async def test_redirects_are_followed(tmp_path, status):
    async with Site({"/a/": redirect("../b?x=1#part", status), "/b": ok(DATA)}) as site:
        got = await fetcher(site).fetch(site.url("/a/"), tmp_path / "f", bytes_max=LIMIT)

    assert got.size == len(DATA)
    assert site.paths == ["/a/", "/b?x=1"]


async def test_a_redirect_to_itself_ends_after_five(tmp_path):
    async with Site({"/": redirect("/")}) as site:
        sentence = await refused(fetcher(site), site.url(), tmp_path)

    assert "more than 5 times" in sentence
    assert len(site.asked) == 6


async def test_a_redirect_to_nowhere_is_refused(tmp_path):
    async with Site({"/": [head("302 Found", Content_Length="0")]}) as site:
        assert "where to" in await refused(fetcher(site), site.url(), tmp_path)


# Answers that are not a file


@pytest.mark.parametrize(
    "status", ["204 No Content", "206 Partial Content", "304 x", "400 x", "401 x", "403 x", "404 x"]
)
async def test_a_status_that_stays_is_a_refusal_that_names_it(tmp_path, status):
    async with Site({"/": [head(status, Content_Length="0")]}) as site:
        assert status[:3] in await refused(fetcher(site), site.url(), tmp_path)
        with pytest.raises(FetchRefused, match=status[:3]):
            await fetcher(site).sample(site.url(), 10)


@pytest.mark.parametrize("status", ["408 x", "429 x", "500 x", "502 x", "503 x"])
async def test_a_status_that_passes_is_a_failure_that_names_it(tmp_path, status):
    async with Site({"/": [head(status, Content_Length="5"), b"error"]}) as site:
        assert status[:3] in await failed(fetcher(site), site.url(), tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        ok(b"<!DOCTYPE html><html><body>Sign in</body></html>", Content_Type="text/html"),
        ok(b"\xef\xbb\xbf \n<HTML lang=en>" + b"x" * 5000, Content_Type="text/csv"),
        ok(gzip.compress(b"<html></html>"), Content_Type="text/html; charset=utf-8", Content_Encoding="gzip"),
    ],
)
async def test_an_html_page_is_refused_whatever_it_calls_itself(tmp_path, answer):
    async with Site({"/": answer}) as site:
        assert "HTML page" in await refused(fetcher(site), site.url(), tmp_path)
        with pytest.raises(FetchRefused, match="HTML page"):
            await fetcher(site).sample(site.url(), 100)


async def test_data_that_calls_itself_html_is_data(tmp_path):
    async with Site({"/": ok(DATA, Content_Type="text/html")}) as site:
        assert (await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=LIMIT)).size == len(DATA)


@pytest.mark.parametrize("garbage", [b"SSH-2.0-OpenSSH_9\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\0" * 100, b""])
async def test_what_does_not_speak_http_is_a_failure(tmp_path, garbage):
    async with Site({"/": [garbage]}) as site:
        assert "does not speak HTTP" in await failed(fetcher(site), site.url(), tmp_path)


async def test_a_head_without_end_is_a_failure(tmp_path):
    async with Site({"/": [b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000]}) as site:
        await failed(fetcher(site), site.url(), tmp_path)


async def test_an_encoding_nobody_asked_for_is_refused(tmp_path):
    async with Site({"/": ok(b"x", Content_Encoding="br")}) as site:
        assert "Content-Encoding" in await refused(fetcher(site), site.url(), tmp_path)


async def test_a_host_that_is_not_there_is_a_failure(tmp_path):
    async with Site({}) as site:
        gone = fetcher(site)
        url = site.url()
    assert "cannot be reached" in await failed(gone, url, tmp_path)

    async def unknown(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    assert "not known" in await failed(fetcher(None, resolve=unknown), "http://nowhere.invalid/", tmp_path)


async def test_a_host_that_does_not_speak_tls_is_refused(tmp_path):
    def answer_in_clear(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head("400 Bad Request"))
        writer.close()

    server = await asyncio.start_server(answer_in_clear, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    anyone = Fetcher(replace(QUICK, allow=parse_allow_list("127.0.0.1")), SystemClock())
    assert "secure connection" in await refused(anyone, f"https://127.0.0.1:{port}/", tmp_path)
    server.close()


# Bounds


async def test_a_file_that_announces_too_much_is_refused_before_it_comes(tmp_path):
    async with Site({"/": [head(Content_Length="101"), HANG]}) as site:
        assert "larger than 100 bytes" in await refused(fetcher(site), site.url(), tmp_path, limit=100)


async def test_a_file_that_says_nothing_and_grows_too_large_is_refused(tmp_path):
    async with Site({"/": [head(), DATA, HANG]}) as site:
        assert "larger than 1000 bytes" in await refused(fetcher(site), site.url(), tmp_path, limit=1000)


async def test_a_file_of_just_the_limit_is_taken(tmp_path):
    async with Site({"/": ok(b"a" * 100)}) as site:
        assert (await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=100)).size == 100


@pytest.mark.parametrize("script", [[HANG], [b"HTTP/1.1 200 OK\r\nX-Slow: ", HANG]])
async def test_a_url_that_hangs_before_it_answers_is_given_up(tmp_path, script):
    async with Site({"/": script}) as site:
        assert "did not answer" in await failed(fetcher(site, HASTY), site.url(), tmp_path)


async def test_a_url_that_hangs_in_its_file_is_given_up(tmp_path):
    async with Site({"/": [head(Content_Length="100"), b"12345", HANG]}) as site:
        assert "stopped sending" in await failed(fetcher(site, HASTY), site.url(), tmp_path)


async def test_a_name_that_is_never_resolved_is_given_up(tmp_path):
    async def silent(_host: str, _port: int) -> list[str]:
        await asyncio.Event().wait()
        return []

    assert "did not answer" in await failed(fetcher(None, HASTY, resolve=silent), "http://example.com/", tmp_path)


async def test_a_download_that_takes_too_long_is_refused(tmp_path):
    async with Site({"/": [head(), DATA, HANG]}) as site:
        slow = fetcher(site, replace(QUICK, seconds_max=0.3))
        assert "outbound_seconds_max" in await refused(slow, site.url(), tmp_path)


async def test_a_file_shorter_than_announced_is_a_failure(tmp_path):
    async with Site({"/": [head(Content_Length="100"), b"12345"]}) as site:
        assert "broke off" in await failed(fetcher(site), site.url(), tmp_path)


async def test_what_comes_after_the_announced_length_is_never_of_the_file(tmp_path):
    async with Site({"/": [head(Content_Length="5"), b"12345" + b"smuggled" * 100]}) as site:
        with suppress(FetchFailed):  # if it is seen in time
            await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=LIMIT)

    assert [path.read_bytes() for path in tmp_path.iterdir()] in ([], [b"12345"])


@pytest.mark.parametrize("end", [b"", b"zz\r\n", b"5\r\n123"])
async def test_chunks_that_break_off_are_a_failure(tmp_path, end):
    async with Site({"/": [head(Transfer_Encoding="chunked"), b"5\r\n12345\r\n", end]}) as site:
        await failed(fetcher(site), site.url(), tmp_path)


# Resuming


LARGE = os.urandom(4_000_000)


def halting(change=lambda begin, script: script, etag: str | None = '"v1"', step: int = 2_500_000, **headers: str):
    """A page of `LARGE` that breaks off after `step` bytes of each answer, and its answers to Range changed by `change`."""
    if etag is not None:
        headers["ETag"] = etag

    def page(asked: Asked) -> Script:
        left = asked.headers.get("range")
        if left is None:
            return [head(Content_Length=str(len(LARGE)), **headers), LARGE[:step]]
        begin = int(left.removeprefix("bytes=").removesuffix("-"))
        place = f"bytes {begin}-{len(LARGE) - 1}/{len(LARGE)}"
        more = head("206 x", Content_Length=str(len(LARGE) - begin), Content_Range=place, **headers)
        return change(begin, [more, LARGE[begin : begin + step]])

    return page


async def test_a_download_that_breaks_off_goes_on_where_it_was(tmp_path):
    async with Site({"/": halting(step=1_700_000, Accept_Ranges="bytes")}) as site:
        got = await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=LIMIT)

    assert (tmp_path / "f").read_bytes() == LARGE
    assert got.size == len(LARGE)
    assert len(site.asked) >= 3
    assert [each.headers.get("if-range") for each in site.asked] == [None, *['"v1"'] * (len(site.asked) - 1)]


async def test_a_file_that_changed_meanwhile_is_taken_from_the_start(tmp_path):
    async with Site({"/": halting(lambda _begin, _script: ok(DATA, ETag='"v2"', Content_Type="text/csv"))}) as site:
        got = await fetcher(site).fetch(site.url(), tmp_path / "f", bytes_max=LIMIT)

    assert got.content_type == "text/csv"
    assert (tmp_path / "f").read_bytes() == DATA


def _rest(content_range: str, begin: int, etag: str = '"v1"') -> Script:
    size = len(LARGE)
    place = content_range.format(
        begin=begin, before=begin - 1, after=begin + 1, last=size - 1, size=size, more=size + 1
    )
    return [head("206 x", ETag=etag, Content_Range=place, Content_Length=str(size - begin)), LARGE[begin:]]


@pytest.mark.parametrize(
    "answer",
    [
        lambda begin, _: _rest("bytes {begin}-{last}/{size}", begin, etag='"v2"'),
        lambda begin, _: _rest("bytes {begin}-{last}/{more}", begin),
        lambda begin, _: _rest("bytes {before}-{last}/{size}", begin),
        lambda begin, _: _rest("bytes {after}-{last}/{size}", begin),
        lambda begin, _: _rest("nonsense", begin),
        lambda begin, _: [head("206 x", ETag='"v1"'), LARGE[begin:]],
        lambda _begin, _: [head("416 Range Not Satisfiable", Content_Range="bytes */5")],
    ],
)
async def test_a_rest_that_does_not_fit_is_never_glued_on(tmp_path, answer):
    async with Site({"/": halting(answer)}) as site:
        await failed(fetcher(site), site.url(), tmp_path)

    assert len(site.asked) == 2


@pytest.mark.parametrize("more", [{"etag": None}, {"etag": 'W/"v1"'}, {"Accept_Ranges": "none"}])
async def test_without_a_way_to_know_that_it_is_the_same_file_nothing_is_resumed(tmp_path, more):
    async with Site({"/": halting(**more)}) as site:
        await failed(fetcher(site), site.url(), tmp_path)

    assert len(site.asked) == 1


async def test_a_download_that_breaks_off_again_and_again_is_given_up(tmp_path):
    async with Site({"/": halting(lambda _begin, script: script[:1])}) as site:
        await failed(fetcher(site), site.url(), tmp_path)

    assert len(site.asked) == 5


# Samples


async def test_a_sample_is_the_first_bytes_and_takes_no_more(tmp_path):
    async with Site({"/": [head(Content_Length="10000000000"), DATA, HANG], "/short": ok(b"a,b\n")}) as site:
        assert await fetcher(site).sample(site.url(), 1000) == DATA[:1000]
        assert await fetcher(site).sample(site.url("/short"), 1000) == b"a,b\n"

    assert "range" not in site.asked[0].headers


async def test_a_sample_that_does_not_come_is_a_failure():
    async with Site({"/": [head(), b"12345", HANG]}) as site:
        with pytest.raises(FetchFailed):
            await fetcher(site, HASTY).sample(site.url(), 1000)
        with pytest.raises(FetchFailed, match="too slow"):
            await fetcher(site, replace(QUICK, sample_seconds_max=0.3)).sample(site.url(), 1000)


async def test_a_download_that_is_cancelled_leaves_nothing(tmp_path):
    begun = asyncio.Event()
    async with Site({"/": [head(), DATA * 10, HANG]}) as site:
        task = asyncio.create_task(
            fetcher(site).fetch(
                site.url(),
                tmp_path / "f",
                bytes_max=LIMIT,
                progress=lambda done, _: begun.set() if done > 2e6 else None,
            )
        )
        await begun.wait()
        assert left_behind(tmp_path) == ["f.part"]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    assert left_behind(tmp_path) == []
