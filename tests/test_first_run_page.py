"""How the first run's page is typed, and compared with what came out."""

from tests.first_run_transcript import PAGE, find_unsaid, read_commands, tidy, write_script

SHOWN = """\
Text.

    pip install x

says

    one  two

    three
    …
    four

Then:

    frames/
      a/

    git commit
"""


def test_what_a_page_shows_and_nobody_said_is_found():
    told = "$ pip install x\none\ntwo\nthree\nfour\n$ git commit\nfive\n"
    assert read_commands(SHOWN) == ["pip install x", "git commit"]
    assert find_unsaid(SHOWN, told) == []
    # What another command said does not count.
    assert find_unsaid(SHOWN, told.replace("four\n", "").replace("five", "four")) == ["four"]


def test_the_page_is_typed_from_the_installation_to_the_commit():
    typed = read_commands(PAGE.read_text(encoding="utf-8"))
    assert typed[0].startswith("python3 -m venv ")
    assert typed[1].startswith("pip install ")
    assert typed[-1].endswith('git commit -m "First run"')
    words = [line.split()[1] for line in typed if line.startswith("batteryscope ")]
    assert words == ["new", "start", "run", "status", "report", "predict"]
    script = write_script(PAGE.read_text(encoding="utf-8"))
    assert "printf '\\n$ %s\\n' 'git add -A && git commit" in script


def test_a_transcript_keeps_what_stands_at_last():
    said = "\n$ a\n[0 s]\n\n\n$ b\nReading:  1%\rReading: 99%\rdone  \n[12 s]\n"
    told = tidy(said, 1.5, 2.5).split("\n\n")
    assert told[:2] == ["$ a", "$ b\ndone\n[12 s]"]
    assert told[2].startswith("Memory of all programs together: 1.5 GB at most")
