"""Every command in the documentation and in the README is one that the code takes."""

import re
import shlex
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser

from crossrec import report, serve, sweep
from crossrec.configuration.composing import CONF, check_config
from crossrec.configuration.overrides import compose_overrides
from crossrec.errors import UserError
from crossrec.sweeping.sweep_file import read_sweep

ROOT = CONF.parent
PAGES = [*sorted((ROOT / "docs" / "pages").rglob("*.md")), ROOT / "README.md"]
FENCED = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (python .+)$", re.MULTILINE)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
OVERRIDE = re.compile(r"[+~]{0,2}[a-z_][a-z_.0-9/@]*=.+")


def commands(page: Path) -> list[str]:
    """What a page tells its reader to type: fenced, or indented and beginning with python."""
    text = page.read_text(encoding="utf-8")
    blocks = [*FENCED.findall(text), *INDENTED.findall(text)]
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [part for line in lines for part in line.split(" && ") if part.strip()]


def quoted(page: Path) -> Iterator[str]:
    """Overrides that stand in running text, one by one."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    for span in INLINE.findall(text):
        words = shlex.split(span.replace("\\|", "|")) if "'" not in span else [span]
        if any(OVERRIDE.fullmatch(word) for word in words):
            yield from (word for word in words if OVERRIDE.fullmatch(word))


EVERY = [
    (page, line)  # a line that stands on several pages is looked at once
    for line, page in {
        line: page.relative_to(ROOT).as_posix() for page in PAGES for line in commands(page)
    }.items()
]


def composes(overrides: list[str], found: list[str]) -> None:
    """The job that the overrides ask for; of a sweep the first and the last."""
    sweeping = "-m" in overrides
    plain = [override for override in overrides if override != "-m"]
    if "--config-dir" in plain:  # a folder of the reader's own: what a sweep leaves
        place = plain.index("--config-dir")
        assert plain[place + 2 :][:1] == ["+experiment=best"]
        plain = plain[place + 3 :]
    launched = [o for o in plain if o.startswith("hydra.launcher.")]  # known where it is installed
    assert not launched or any(o.startswith("hydra/launcher=") for o in plain)
    plain = [o for o in plain if not o.startswith(("hydra.launcher.", "hydra/launcher="))]
    parsed = OverridesParser.create().parse_overrides(plain)
    assert sweeping == any(override.is_sweep_override() for override in parsed)
    (jobs,) = BasicSweeper.split_arguments(parsed, max_batch_size=None)
    for job in {tuple(jobs[place]) for place in (0, -1)}:
        cfg, choices = compose_overrides([*job, *found])
        check_config(cfg, choices)


def refused(main: Callable[[list[str]], int], arguments: list[str]) -> None:
    """Its arguments are right: it only misses the folder, which no test has made."""
    if arguments != ["--help"]:
        assert main(arguments) == 1
        return
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 0


@pytest.mark.parametrize(("page", "line"), EVERY, ids=[f"{page}: {line}" for page, line in EVERY])
def test_a_command_is_one_that_there_is(
    page: str,
    line: str,
    found: list[str],
    overlay: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(overlay)
    program, *arguments = shlex.split(line, comments=True)
    program = Path(program).name
    if program == "torchrun":
        flag, ranks, *arguments = arguments
        assert flag == "--nproc-per-node", line
        assert int(ranks) > 1
        program = "python"
    if program in ("python", "python3"):
        flag, module, *arguments = arguments
        assert flag == "-m", line
    else:
        module = program
    if module in ("crossrec.train", "crossrec.data"):
        if arguments != ["--help"]:
            composes(arguments, found)
    elif module == "crossrec.sweep":
        monkeypatch.chdir(ROOT)
        options = sweep._parser().parse_intermixed_args(arguments)
        sweep.check(read_sweep(options.file, options.overrides))
    elif module in ("crossrec.report", "crossrec.serve"):
        monkeypatch.chdir(tmp_path)
        refused({"report": report, "serve": serve}[module.partition(".")[2]].main, arguments)
        assert arguments == ["--help"] or "no such folder" in capsys.readouterr().err
    elif module == "pip":
        installs(arguments)
    elif module == "wandb":  # tests/test_sweeps.py has what an agent starts
        assert arguments[0] == "agent" or (ROOT / arguments[1]).is_file()
    elif module == "venv":
        assert arguments == [".venv"]
    elif module == "mkdocs":
        assert arguments[0] in ("build", "serve")
        assert set(arguments[1:]) <= {"--strict"}
    else:
        assert module == "pytest", f"{page}: nobody checks {line!r}"
        assert re.fullmatch(
            r"-q( -n (\d+|auto)( --dist worksteal)?)?( -m \w+)?", " ".join(arguments)
        ), line


def installs(arguments: list[str]) -> None:
    """Files, folders and extras that are there."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert arguments.pop(0) == "install"
    for word in arguments:
        if word.endswith(".lock"):
            assert (ROOT / word).is_file()
        elif named := re.fullmatch(r"\.\[([\w,]+)\]", word):
            assert set(named[1].split(",")) <= set(extras["optional-dependencies"])
        else:
            assert word in ("-q", "-r", "-e", "."), word


@pytest.fixture(scope="module")
def known(overlay: Path) -> tuple[set[str], dict[str, set[str]]]:
    """All keys that some option has; and group -> its options."""
    import settings

    keys = {s.key for g in settings.groups() for o in settings.options(g) for s in o.settings}
    keys |= {s.key for s in settings.command_settings()}
    for file in (overlay / "conf").rglob("*.yaml"):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        keys |= {f"{file.parent.name}.{key}" for key in content}
    files = [*CONF.glob("*/*.yaml"), *(overlay / "conf").glob("*/*.yaml")]
    options: dict[str, set[str]] = {}
    for file in files:
        options.setdefault(file.parent.name, set()).add(file.stem)
    return keys, options


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_quoted_in_running_text_is_a_setting(
    page: Path, known: tuple[set[str], dict[str, set[str]]]
) -> None:
    keys, options = known
    for override in quoted(page):
        key, _, value = override.lstrip("+~").partition("=")
        values = re.split(r"[,|\[\]]", value)
        if key in options:
            wrong = {v for v in values if v.islower()} - options[key]
            assert not wrong, f"{page.name}: {override}"
        elif key.startswith("transfer.candidates."):
            assert key.split(".")[2] in options["transfer"], f"{page.name}: {override}"
        elif not key.startswith(("hydra.", "trainer.", "data.reader.sizes.")):
            ends = key if "." in key else f".{key}"  # dtype=int8 behind encoder.pooling
            assert any(k == key or k.endswith(ends) for k in keys), f"{page.name}: {override}"


def test_a_wrong_key_and_a_sweep_without_m_are_found(found: list[str]) -> None:
    with pytest.raises(UserError, match=r"did you mean transfer\.lambda"):
        composes(["transfer.lamda=1"], found)
    with pytest.raises(AssertionError):
        composes(["transfer.lambda=0,1"], found)
