import pytest

from mentor_pyg import InputError
from mentor_pyg.cli.parser import Parser, identifier, split_ids


@pytest.fixture
def parser():
    parser = Parser(exit_on_error=False)
    parser.add_argument("run")
    parser.add_argument("--user", nargs="+", action="extend", type=identifier)
    parser.add_argument("--one", type=identifier)
    parser.add_argument("--k", type=int)
    parser.add_argument("-q", "--quiet", action="store_true")
    return parser


@pytest.mark.parametrize(
    ("args", "user", "one", "k"),
    [
        ("run --user -u1", ["-u1"], None, None),
        ("run --user -u1 u2 --u3 --k 5", ["-u1", "u2", "--u3"], None, 5),
        ("run --user=-u1 -u2 -q", ["-u1", "-u2"], None, None),
        ("run --user -1 --user -2 --k=5", ["-1", "-2"], None, 5),
        ("run --user=--k --k 5", ["--k"], None, 5),
        ("run --user a=b -c=d", ["a=b", "-c=d"], None, None),
        ("--user - -- run", ["-"], None, None),
        ("--one -tiU run", None, "-tiU", None),
        ("--one=-tiU run --k 5", None, "-tiU", 5),
        ("--k 5 run", None, None, 5),
    ],
)
def test_ids_that_begin_with_a_dash(parser, args, user, one, k):
    found = parser.parse_args(args.split())
    assert (found.run, found.user, found.one, found.k) == ("run", user, one, k)


@pytest.mark.parametrize("args", ["run --user", "run --user --k 5", "run --one", "run --one -q"])
def test_options_without_an_id(parser, args, capsys):
    with pytest.raises((SystemExit, Exception), match=r"expected (at least )?one argument|2"):
        parser.parse_args(args.split())


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("a,b", ["a", "b"]),
        (" a , b ", ["a", "b"]),
        ('"Smith, John",v1', ["Smith, John", "v1"]),
        ('v1, "Smith, John"', ["v1", "Smith, John"]),
        ('"say ""hi"""', ['say "hi"']),
        ('5" disk,a', ['5" disk', "a"]),
        ("a,", ["a", ""]),
        ("-a,-b", ["-a", "-b"]),
    ],
)
def test_ids_with_commas(text, ids):
    assert split_ids("--items", text) == ids


@pytest.mark.parametrize("text", ['"a', '"a"b', "a\nb"])
def test_quotes_that_do_not_end(text):
    with pytest.raises(InputError, match=r"--items: .* can't be split .*; expected ids like a,"):
        split_ids("--items", text)
