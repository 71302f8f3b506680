"""Votes over HTTP: who may vote, what is a vote, and that none is lost."""

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from prescreen.errors import PrescreenError, RatingsError, UsageError
from prescreen.reports import ballot_address, collected_votes
from prescreen.reports.ballot_address import ballot_address as open_address
from prescreen.reports.ballot_server import MAX_BODY, NOT_SAVED, BallotServer
from prescreen.reports.collected_votes import CHOICES, Choice, CollectedVotes, read_votes, write_votes
from prescreen.reports.local_server import LOOPBACK
from prescreen.storage.tables import read_table
from prescreen.workflow.ballot import collect

TOKEN = "a-secret-token"
IMAGES = ["=a.jpg", "b.jpg", "stage/c.jpg"]
TRAITS = ["competence", "warm"]
BODY = {"rater": "anna-x7k2p9", "votes": {"=a.jpg": {"competence": 3, "warm": 0}, "b.jpg": {"warm": 1}}}


@pytest.fixture
def saved(tmp_path):
    return tmp_path / "ballot" / "votes.csv"


@pytest.fixture
def server(saved):
    (saved.parent.parent / "passwords.txt").write_text("hunter2")
    return BallotServer("<p>the page", CollectedVotes(saved, {}, IMAGES, TRAITS), TOKEN, ["192.168.1.20"])


@pytest.fixture
def client(server):
    return TestClient(server.app(), base_url=f"http://{LOOPBACK}:8123", raise_server_exceptions=False)


def put(client, body=BODY, token=TOKEN, **options):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return client.put(f"/{token}/votes", content=content, **options)


def test_votes_are_saved_as_ratings_that_training_reads(client, saved):
    assert client.get(f"/{TOKEN}/").text == "<p>the page"
    assert client.get(f"/{TOKEN}/counts").json() == dict.fromkeys(IMAGES, 0)
    assert put(client).status_code == 204
    assert saved.read_text() == (
        "image,trait,vote,rater\n'=a.jpg,competence,3,anna-x7k2p9\n'=a.jpg,warm,0,anna-x7k2p9\nb.jpg,warm,1,anna-x7k2p9\n"
    )
    assert put(client, BODY | {"rater": "ben-1"}).status_code == 204
    assert client.get(f"/{TOKEN}/counts").json() == {"=a.jpg": 2, "b.jpg": 2, "stage/c.jpg": 0}
    assert len(read_votes(saved)[0]) == 6


def test_a_vote_given_again_replaces_and_what_is_left_out_stays(client, saved):
    put(client)
    put(client, {"rater": BODY["rater"], "votes": {"=a.jpg": {"warm": 2}}})
    assert read_votes(saved)[0] == {
        ("anna-x7k2p9", "=a.jpg", "competence"): 3,
        ("anna-x7k2p9", "=a.jpg", "warm"): 2,
        ("anna-x7k2p9", "b.jpg", "warm"): 1,
    }
    before = saved.stat().st_mtime_ns, saved.stat().st_ino
    assert put(client, {"rater": BODY["rater"], "votes": {"=a.jpg": {"warm": 2}}}).status_code == 204
    assert (saved.stat().st_mtime_ns, saved.stat().st_ino) == before  # nothing new, nothing written


@pytest.mark.parametrize("token", ["", "wrong", TOKEN + "x", TOKEN.upper(), "%C3%A9", "..%2f" + TOKEN])
def test_nothing_is_answered_without_the_token(client, saved, token):
    for answer in (client.get(f"/{token}/"), client.get(f"/{token}/counts"), put(client, token=token)):
        assert answer.status_code in (403, 404)
        assert "the page" not in answer.text
    for headers in ({"Authorization": f"Bearer {TOKEN}"}, {"Cookie": f"token={TOKEN}"}):
        assert client.get("/", headers=headers).status_code == 404
    assert not saved.exists()


@pytest.mark.parametrize(
    "path",
    ["passwords.txt", "../passwords.txt", "%2e%2e%2fpasswords.txt", "..%5cpasswords.txt", "/etc/passwd", "votes.csv"]
)  # fmt: skip
def test_no_path_leads_to_a_file(client, saved, path):
    for address in (f"/{TOKEN}/{path}", f"/{path}", f"/{TOKEN}/pictures/{path}"):
        answer = client.get(address)
        assert answer.status_code in (403, 404)
        assert "hunter2" not in answer.text
    body = {"rater": "x", "votes": {f"../{path}": {"warm": 1}}}
    put(client, body)
    assert not saved.exists()


@pytest.mark.parametrize("host", ["evil.example", "192.168.1.20.evil.example", "192.168.1.21", "[::1]", ""])
def test_a_foreign_name_that_leads_here_is_refused(client, host):
    assert client.get(f"/{TOKEN}/", headers={"Host": host}).status_code == 400


def test_the_address_in_the_local_network_is_answered(client):
    assert client.get(f"/{TOKEN}/", headers={"Host": "192.168.1.20:8123"}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", f"http://{LOOPBACK}:9", f"https://{LOOPBACK}:8123"])
def test_another_site_cannot_vote(client, saved, origin):
    assert put(client, headers={"Origin": origin}).status_code == 403
    preflight = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
    answer = client.options(f"/{TOKEN}/votes", headers=preflight)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.post(f"/{TOKEN}/votes", json=BODY).status_code == 405
    assert not saved.exists()


def test_every_answer_keeps_browsers_strict(client):
    for answer in (client.get(f"/{TOKEN}/"), client.get("/nothing"), put(client), put(client, b"{")):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400), (b"{", 400), (b"[]", 400), (b"null", 400), (b"[" * 9000, 400), (b"\xff", 400),
        ({"rater": "a"}, 400), ({"rater": "a", "votes": []}, 400), ({"rater": "a", "votes": {"b.jpg": [1]}}, 400),
        ({"rater": "", "votes": {}}, 400), ({"rater": " ", "votes": {}}, 400), ({"rater": 1, "votes": {}}, 400),
        ({"rater": "a\nb", "votes": {}}, 400), ({"rater": "a" * 81, "votes": {}}, 400),
        ({"rater": "a\ud800", "votes": {}}, 400),
        *(({"rater": "a", "votes": {"b.jpg": {"warm": vote}}}, 400) for vote in (4, -1, 1.5, 1.0, True, "1", None, [])),
        ({"rater": "a", "votes": {"gone.jpg": {"warm": 4}}}, 400),
        (b" " * (MAX_BODY + 1), 413),
    ],
)  # fmt: skip
def test_what_is_no_vote_is_refused_and_changes_nothing(client, saved, body, status):
    assert put(client, body).status_code == status
    assert not saved.exists()
    assert put(client).status_code == 204


def test_votes_on_what_the_ballot_no_longer_has_stop_no_others(client, saved):
    """The owner takes a picture or a trait away while pages are open."""
    assert put(client, {"rater": "a", "votes": {"gone.jpg": {"warm": 1}}}).status_code == 204
    assert not saved.exists()
    votes = {"gone.jpg": {"warm": 1}, "b.jpg": {"cold": 2, "warm": 3}}
    assert put(client, {"rater": "a", "votes": votes}).status_code == 204
    assert read_votes(saved)[0] == {("a", "b.jpg", "warm"): 3}


def test_many_raters_at_once_are_all_saved(client, saved):
    """Each sends picture by picture, as the page does, and some votes twice."""

    def vote(rater):
        for image in [*IMAGES, IMAGES[0]]:
            assert put(client, {"rater": f"r{rater}", "votes": {image: {"warm": rater % 4}}}).status_code == 204

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(vote, range(16)))
    assert read_votes(saved)[0] == {(f"r{n}", image, "warm"): n % 4 for n in range(16) for image in IMAGES}
    assert len(saved.read_text().splitlines()) == 1 + 16 * len(IMAGES)


def test_votes_that_come_in_during_a_write_share_the_next_one(saved, monkeypatch):
    writes, go_on = [], threading.Event()

    def write(votes, path, kind):
        writes.append(len(votes))
        assert go_on.wait(20)
        write_votes(votes, path, kind)

    monkeypatch.setattr(collected_votes, "write_votes", write)
    votes = CollectedVotes(saved, {}, IMAGES, TRAITS)
    with ThreadPoolExecutor(16) as pool:
        saving = [pool.submit(votes.save, f"r{n}", {"b.jpg": {"warm": n % 4}}) for n in range(16)]
        while len(votes._waiting) < 16:
            time.sleep(0.01)
        go_on.set()
        for one in saving:
            one.result()
    assert writes[-1] == 16
    assert len(writes) <= 3
    assert len(read_votes(saved)[0]) == 16


def test_a_write_that_fails_fails_for_all_who_wait_and_the_next_one_has_only_its_own(saved, monkeypatch):
    go_on = threading.Event()

    def fail(votes, path, kind):
        assert go_on.wait(20)
        raise PrescreenError("disk full")

    monkeypatch.setattr(collected_votes, "write_votes", fail)
    votes = CollectedVotes(saved, {}, IMAGES, TRAITS)
    with ThreadPoolExecutor(8) as pool:
        saving = [pool.submit(votes.save, f"r{n}", {"b.jpg": {"warm": 1}}) for n in range(8)]
        while len(votes._waiting) < 8:
            time.sleep(0.01)
        go_on.set()
        assert all(isinstance(one.exception(), PrescreenError) for one in saving)
    monkeypatch.undo()
    monkeypatch.setattr(collected_votes, "MAX_RATERS", 1)  # those whose votes were not saved do not count
    votes.save("z", {"b.jpg": {"warm": 2}})
    assert read_votes(saved)[0] == {("z", "b.jpg", "warm"): 2}


def test_votes_that_are_there_stay(saved):
    first = CollectedVotes(saved, {}, ["old.jpg"], ["kind"])
    first.save("anna", {"old.jpg": {"kind": 3}})
    again = CollectedVotes(saved, read_votes(saved)[0], IMAGES, TRAITS)
    assert again.counts() == dict.fromkeys(IMAGES, 0)
    again.save("anna", {"b.jpg": {"warm": 1}})
    assert read_votes(saved)[0] == {("anna", "old.jpg", "kind"): 3, ("anna", "b.jpg", "warm"): 1}


def test_a_disk_that_takes_nothing_is_told_and_the_vote_is_not_counted(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    votes = CollectedVotes(blocked / "votes.csv", {}, IMAGES, TRAITS)
    warnings = []
    server = BallotServer("", votes, TOKEN, warn=warnings.append)
    client = TestClient(server.app(), base_url=f"http://{LOOPBACK}")
    answer = [put(client), put(client)][-1]
    assert answer.status_code == 507
    assert answer.text == NOT_SAVED  # a path of this machine is nothing for the network
    (warning,) = warnings
    assert "cannot be written" in warning
    assert votes.counts() == dict.fromkeys(IMAGES, 0)


def test_made_up_raters_do_not_fill_the_disk(saved, monkeypatch):
    monkeypatch.setattr(collected_votes, "MAX_RATERS", 2)
    votes = CollectedVotes(saved, {}, IMAGES, TRAITS)
    for rater in "defgh":  # nothing to save takes nobody's place
        votes.save(rater, {})
        votes.save(rater, {"b.jpg": {}})
    assert not saved.exists()
    for rater in ("a", "b", "a"):
        votes.save(rater, {"b.jpg": {"warm": 1}})
    with pytest.raises(PrescreenError, match="has votes of 2 raters; collect into another file"):
        votes.save("c", {"b.jpg": {"warm": 1}})
    votes.save("b", {"stage/c.jpg": {"warm": 2}})  # those that are in it go on
    assert len(read_table(saved)) == 3


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("image,competence\na.jpg,3\n", "expected votes with their raters"),
        ("image,trait,vote\na.jpg,warm,3\n", "expected votes with their raters"),
        ("image,trait,vote,rater\na.jpg,warm,3,\n", "expected votes with their raters"),
        ("image,trait,vote,rater\na.jpg,warm,3,a\nb.jpg,warm,7,a\n", "row 3: vote 7, expected 0 to 3"),
        ("image,trait,vote,rater\na.jpg,warm,1.5,a\n", "row 2: vote 1.5, expected 0 to 3"),
        ("image,trait,vote,rater\na.jpg,warm,many,a\n", "many"),
    ],
)
def test_a_table_of_something_else_is_not_added_to(tmp_path, text, says):
    (tmp_path / "votes.csv").write_text(text)
    with pytest.raises(RatingsError, match=says):
        read_votes(tmp_path / "votes.csv")


class TestCollect:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))

    @pytest.fixture
    def sent(self, tmp_path):
        write_votes({("anna", "b.jpg", "warm"): 3}, tmp_path / "votes-anna.csv")
        return tmp_path / "votes-anna.csv"

    def test_votes_that_are_in_the_table_stay(self, saved, sent):
        write_votes({("ben", "b.jpg", "warm"): 1, ("anna", "b.jpg", "warm"): 2}, saved)
        assert collect([sent], saved) == "2 votes of 2 raters"
        assert read_votes(saved)[0] == {("ben", "b.jpg", "warm"): 1, ("anna", "b.jpg", "warm"): 3}
        write_votes({("ben", "b.jpg", trait): 1 for trait in TRAITS}, sent)
        assert collect([sent], saved) == "2 votes of 2 raters (3 ratings)"

    def test_a_file_without_a_vote_is_told(self, saved, tmp_path):
        (tmp_path / "votes.csv").write_text("image,trait,vote,rater\na.jpg,warm,,x\n")
        with pytest.raises(UsageError, match=r"votes\.csv: no votes in it"):
            collect([tmp_path / "votes.csv"], saved)
        assert not saved.exists()

    def test_a_table_of_something_else_is_not_written_over(self, saved, sent):
        saved.parent.mkdir()
        for text in ("image,trait,vote,rater,person\na.jpg,warm,1,anna,eve\n", "image,competence\na.jpg,3\n", "notes"):
            saved.write_text(text)
            with pytest.raises(PrescreenError, match=r"votes\.csv: "):
                collect([sent], saved)
            assert saved.read_text() == text

    def test_a_table_that_a_server_writes_is_refused(self, saved, sent):
        with open_address(saved), pytest.raises(PrescreenError, match="another prescreen ballot writes it"):
            collect([sent], saved)
        assert not saved.exists()


class TestAddress:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))

    def links(self, saved, port=0, **options):
        with open_address(saved) as address:
            opened = address.open(port, network=False, **options)
            links = address.links(opened)
            for listener in opened:
                listener.close()
            return links

    def test_it_is_the_same_again_and_another_one_for_other_votes(self, saved, tmp_path):
        first = self.links(saved)
        assert first == self.links(saved)
        assert len(first[0].split("/")[3]) == 43
        other = self.links(tmp_path / "other.csv")
        assert first[0].split("/")[3] != other[0].split("/")[3]
        kept = next((tmp_path / "cache" / "ballots").iterdir())
        assert kept.stat().st_mode & 0o077 == 0

    def test_a_port_that_is_taken_by_now_is_replaced_unless_it_was_given(self, saved):
        first = self.links(saved)
        port = int(first[0].split(":")[2].split("/")[0])
        with ballot_address.listen(port):
            second = self.links(saved)
            assert second != first
            assert second[0].endswith(first[0].split("/")[3] + "/")
            with pytest.raises(PrescreenError, match="give another one with --port"):
                self.links(saved, port)

    @pytest.mark.parametrize("damage", [b"", b"8123 short\n", b"\xff" * 60, b"99999 " + b"x" * 43 + b"\n"])
    def test_a_damaged_one_is_made_anew(self, saved, tmp_path, damage):
        first = self.links(saved)
        next((tmp_path / "cache" / "ballots").iterdir()).write_bytes(damage)
        assert self.links(saved)[0].startswith("http://127.0.0.1:")
        assert self.links(saved) != first

    def test_two_servers_do_not_write_one_table(self, saved):
        with open_address(saved), pytest.raises(PrescreenError, match="another prescreen ballot writes it"):
            self.links(saved)
        assert self.links(saved)

    def test_the_network_is_asked_for(self, saved, monkeypatch):
        monkeypatch.setattr(ballot_address, "local_addresses", lambda: ["127.0.0.2"])
        with open_address(saved) as address:
            opened = address.open(0, network=True)
            hosts = [listener.getsockname() for listener in opened]
            for listener in opened:
                listener.close()
        assert [host for host, _ in hosts] == ["127.0.0.1", "127.0.0.2"]
        assert len({port for _, port in hosts}) == 1
        monkeypatch.setattr(ballot_address, "local_addresses", list)
        with open_address(saved) as address, pytest.raises(UsageError, match="no address in a local network"):
            address.open(0, network=True)

    def test_only_private_addresses_are_served(self, monkeypatch):
        class Entry:
            def __init__(self, address, family=ballot_address.socket.AF_INET):
                self.address, self.family = address, family

        entries = [Entry(text) for text in ("127.0.0.1", "192.168.1.20", "8.8.8.8", "169.254.3.3", "10.0.0.4")]
        entries.append(Entry("fe80::1", ballot_address.socket.AF_INET6))
        monkeypatch.setattr(ballot_address.psutil, "net_if_addrs", lambda: {"eth0": entries})
        assert ballot_address.local_addresses() == ["10.0.0.4", "192.168.1.20"]


class TestPairs:
    """The same server and tables for which of two pictures is better."""

    PAIR = json.dumps(["b.jpg", "=a.jpg"])
    BODY = {"rater": "anna-x7k2p9", "votes": {PAIR: {"competence": 1, "warm": 0}}}

    @pytest.fixture
    def client(self, saved):
        votes = CollectedVotes(saved, {}, IMAGES, TRAITS, CHOICES)
        app = BallotServer("<p>the page", votes, TOKEN).app()
        return TestClient(app, base_url=f"http://{LOOPBACK}:8123", raise_server_exceptions=False)

    def test_answers_are_saved_as_ratings_that_training_reads(self, client, saved):
        assert put(client, self.BODY).status_code == 204
        assert saved.read_text() == (
            "better,worse,side,trait,rater\n'=a.jpg,b.jpg,right,competence,anna-x7k2p9\n"
            "b.jpg,'=a.jpg,left,warm,anna-x7k2p9\n"
        )
        assert client.get(f"/{TOKEN}/counts").json() == {"=a.jpg": 1, "b.jpg": 1, "stage/c.jpg": 0}
        (first, second) = read_votes(saved, CHOICES)[0].items()
        assert first == (("anna-x7k2p9", ("=a.jpg", "b.jpg"), "competence"), Choice("=a.jpg", "b.jpg", "right"))
        assert second[1] == Choice("b.jpg", "=a.jpg", "left")

    def test_an_answer_given_again_replaces_also_with_the_sides_changed(self, client, saved):
        put(client, self.BODY)
        put(client, {"rater": "anna-x7k2p9", "votes": {json.dumps(["=a.jpg", "b.jpg"]): {"warm": 0}}})
        votes = read_votes(saved, CHOICES)[0]
        assert len(votes) == 2
        assert votes["anna-x7k2p9", ("=a.jpg", "b.jpg"), "warm"] == Choice("=a.jpg", "b.jpg", "left")

    @pytest.mark.parametrize(
        "item",
        ["b.jpg", "", "[", "[" * 9000, "5", "null", '"ab"', "{}", '{"b.jpg": 1, "=a.jpg": 2}', "[1, 2]", '["b.jpg"]',
         '["b.jpg", "b.jpg"]', '["b.jpg", "gone.jpg"]', '["b.jpg", "=a.jpg", "stage/c.jpg"]', '["b.jpg", null]'],
    )  # fmt: skip
    def test_what_is_no_pair_is_passed_over(self, client, saved, item):
        assert put(client, {"rater": "a", "votes": {item: {"warm": 1}}}).status_code == 204
        assert not saved.exists()
        assert put(client, {"rater": "a", "votes": {item: {"warm": 1}, self.PAIR: {"cold": 0, "warm": 1}}}).status_code
        assert len(read_votes(saved, CHOICES)[0]) == 1

    def test_a_rater_cannot_send_every_pair(self, saved):
        """Twice as many as asked are taken, as after a restart with other pairs; those that are in it may change."""
        pairs = [(f"{one}.jpg", f"{other}.jpg") for one in range(4) for other in range(one)]
        earlier = CollectedVotes(saved, {}, [f"{n}.jpg" for n in range(4)], TRAITS, CHOICES, asked=1)
        earlier.save("eve", {json.dumps(pair): {"warm": 0} for pair in pairs[:2]})
        votes = CollectedVotes(saved, read_votes(saved, CHOICES)[0], [*earlier.images], TRAITS, CHOICES, asked=1)
        votes.save("eve", {json.dumps(pair): {"warm": 1, "competence": 1} for pair in pairs[:2]})
        votes.save("ben", {json.dumps(pairs[2]): {"warm": 0}})
        with pytest.raises(PrescreenError, match="eve answered more than 2 pairs"):
            votes.save("eve", {json.dumps(pairs[2]): {"warm": 0}})
        with pytest.raises(PrescreenError, match="ben answered more than 2 pairs"):
            votes.save("ben", {json.dumps(pair): {"warm": 0} for pair in pairs})
        votes.save("ben", {json.dumps(pairs[3]): {"warm": 0}})
        assert len(read_votes(saved, CHOICES)[0]) == 6

    @pytest.mark.parametrize("vote", [2, 3, -1, True, "1", None, 0.0])
    def test_what_is_no_side_is_refused(self, client, saved, vote):
        assert put(client, {"rater": "a", "votes": {self.PAIR: {"warm": vote}}}).status_code == 400
        assert not saved.exists()

    def test_many_raters_at_once_are_all_saved(self, client, saved):
        def vote(rater):
            for pair in (("b.jpg", "=a.jpg"), ("stage/c.jpg", "b.jpg"), ("=a.jpg", "b.jpg")):
                body = {"rater": f"r{rater}", "votes": {json.dumps(pair): {"warm": rater % 2}}}
                assert put(client, body).status_code == 204

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(vote, range(16)))
        votes = read_votes(saved, CHOICES)[0]
        assert len(votes) == 16 * 2
        assert votes["r3", ("=a.jpg", "b.jpg"), "warm"] == Choice("b.jpg", "=a.jpg", "right")  # the later one

    def test_files_are_collected_and_kinds_are_not_mixed(self, tmp_path, monkeypatch):
        monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
        pair = ("=a.jpg", "b.jpg")
        first, second, votes = (tmp_path / name for name in ("anna.csv", "anna-2.csv", "votes-ben.csv"))
        write_votes({("anna", pair, "warm"): Choice(*pair, "left")}, first, CHOICES)
        changed = {("anna", pair, "warm"): Choice("b.jpg", "=a.jpg", "left")}
        write_votes(changed | {("anna", ("b.jpg", "c.jpg"), "warm"): Choice("c.jpg", "b.jpg", "")}, second, CHOICES)
        write_votes({("ben", "b.jpg", "warm"): 3}, votes)
        together = tmp_path / "together.csv"
        assert collect([first, second], together) == "2 answers of 1 rater"
        assert collect([first], together, pairs=True) == "2 answers of 1 rater"
        assert read_votes(together, CHOICES)[0]["anna", pair, "warm"] == Choice(*pair, "left")
        before = together.read_bytes()
        for files, output, options in (
            ([first, votes], together, {}),
            ([votes], together, {}),
            ([votes], tmp_path / "new.csv", {"pairs": True}),
            ([votes, first], tmp_path / "new.csv", {}),
        ):
            with pytest.raises(RatingsError, match="expected (votes|answers) with their raters"):
                collect(files, output, **options)
        assert together.read_bytes() == before
        assert not (tmp_path / "new.csv").exists()

    def test_a_picture_compared_with_itself_is_refused(self, tmp_path, monkeypatch):
        """Training would refuse the whole table."""
        monkeypatch.setenv("PRESCREEN_CACHE", str(tmp_path / "cache"))
        sent = tmp_path / "sent.csv"
        sent.write_text("better,worse,trait,rater\na.jpg,b.jpg,warm,anna\nb.jpg,b.jpg,warm,anna\n")
        with pytest.raises(RatingsError, match=r"sent\.csv: row 3: image 'b\.jpg' is compared with itself"):
            collect([sent], tmp_path / "new.csv")
        assert not (tmp_path / "new.csv").exists()
