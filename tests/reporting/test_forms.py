"""One table in three forms: what is text stays text in each of them."""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrec.evaluation.summary import CEILING
from crossrec.reporting.blocks import Cell, Figure, Report, Rows, Section, Series, Table
from crossrec.reporting.figures import legend, panel
from crossrec.reporting.html import html
from crossrec.reporting.latex import escaped, latex, latex_table
from crossrec.reporting.markdown import markdown
from crossrec.reporting.marks import dagger, marks, p_value, percent

EVIL = r"<script>alert(1)</script> {{ 7*7 }} 5% & $x_1$ #1 \input{/etc/passwd} a|b `c` [d](e) ~^"
TABLE = Table(
    "Of_It",
    EVIL,
    ["model", "NDCG@10", "p"],
    [
        Rows(EVIL, [[Cell(EVIL), Cell(".072±.007", "best", "†"), Cell("<.001")]]),
        Rows("", [[Cell("scratch"), Cell(".055±.006", "second"), Cell("-")]]),
    ],
    EVIL,
)


def report(*blocks: object) -> Report:
    return Report(EVIL, EVIL, [EVIL, EVIL], [(EVIL, EVIL)], [Section("s", EVIL, blocks)])  # type: ignore[arg-type]


def test_latex_has_the_shape_of_a_booktabs_table():
    lines = latex_table(TABLE).splitlines()
    rules = [line for line in lines if re.fullmatch(r"\\(top|mid|bottom)rule", line)]
    assert rules == [r"\toprule", r"\midrule", r"\midrule", r"\bottomrule"]
    rows = [line for line in lines if line.endswith(r"\\")]
    assert [len(re.findall(r"(?<!\\)&", row)) for row in rows] == [2, 0, 2, 2]
    assert r"\textbf{.072$\pm$.007}$^\dagger$ & \textless{}.001 \\" in rows[2]
    assert rows[3] == r"scratch & \underline{.055$\pm$.006} & - \\"
    assert r"\begin{tabular}{@{}lrr@{}}" in lines
    assert r"\label{tab:of-it}" in lines


def test_a_minus_is_no_hyphen():
    assert escaped("[-2.5%, -.1] p-1 leave-one-out 1e-3") == (
        r"[$-$2.5\%, $-$.1] p-1 leave-one-out 1e-3"
    )


@given(st.text(st.sampled_from('\\{}$%&#_^~<>|"[]ab \n±†'), max_size=30))
def test_nothing_in_a_text_is_a_command(text: str):
    shown = escaped(text)
    plain = re.sub(
        r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)"
        r"\{\}|\\[&%$#_{}]|\$\\pm\$|\$-\$|\$\^\\dagger\$",
        "",
        shown,
    )
    assert not set(plain) & set("\\{}$%&#_^~\n")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="NO PDFLATEX: report.tex not compiled")
def test_latex_compiles(tmp_path: Path):
    (tmp_path / "report.tex").write_text(latex(report(TABLE, TABLE)), encoding="utf-8")
    (tmp_path / "paper.tex").write_text(
        r"\documentclass{article}\usepackage{booktabs,graphicx}"
        r"\begin{document}\input{report}\end{document}"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-1500:]
    assert (tmp_path / "paper.pdf").stat().st_size > 1000


def test_tables_of_words_are_no_latex():
    words = Table("w", "words", ["row", "is"], [Rows("", [[Cell("a"), Cell("b")]])], words=2)
    assert "tabular" not in latex(report(words))
    assert "| a | b |" in markdown(report(words))


def test_markdown_escapes_what_would_be_markup():
    text = markdown(report(TABLE))
    assert r"\<script>" in text
    assert "<script>" not in text.replace(r"\<script>", "")
    assert "| scratch | <u>.055±.006</u> | - |" in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}


class Reader(HTMLParser):
    """Tags with their attributes, and all text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_whatever_is_in_a_report_is_text_of_the_page():
    figure = Figure(
        EVIL,
        EVIL,
        [panel(EVIL, lambda axes: axes.set_xlabel(EVIL))],
        [Series(EVIL, "#1d4ed8", "o")],
    )
    read = Reader(html(report(EVIL, TABLE, figure)))
    assert "script" not in {tag for tag, _ in read.tags}
    assert read.text.count(EVIL) >= 10
    links = [
        value
        for _, attributes in read.tags
        for name, value in attributes.items()
        if name in ("href", "src", "action", "xlink:href")
    ]
    assert all(link and link.startswith(("#", "data:")) for link in links)
    assert "@import" not in read.text
    assert "url(" not in read.text.replace("url(#", "")
    policy = next(a for t, a in read.tags if t == "meta" and "http-equiv" in a)
    assert str(policy["content"]).startswith("default-src 'none'")


def test_drawings_share_no_id_and_follow_the_page_into_the_dark():
    drawn = [panel("", lambda axes: axes.plot([0, 1], "o-", color="#7a7a7a")) for _ in range(2)]
    page = html(report(Figure("c", "a", drawn)))
    ids = [str(a["id"]) for _, a in Reader(page).tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert "#7a7a7a" not in page
    assert "var(--scratch)" in page
    assert html(report(Figure("c", "a", drawn))) == page


def test_best_and_second_share_ties_and_leave_the_oracle_out():
    values = {"a": 0.3, "b": 0.3, "c": 0.2, "d": 0.1, CEILING: 0.9, "e": float("nan")}
    assert marks("ndcg@10", values) == {"a": "best", "b": "best", "c": "second"}
    assert marks("rmse", {"a": 1.0, "b": 0.5}) == {"a": "second", "b": "best"}
    assert marks("novelty@10", values) == {}


@pytest.mark.parametrize(
    ("metric", "gain", "p", "sign"),
    [
        ("ndcg@10", 0.1, 0.04, "†"),
        ("ndcg@10", -0.1, 0.04, "‡"),
        ("rmse", -0.1, 0.04, "†"),
        ("ndcg@10", 0.1, 0.05, ""),
        ("ndcg@10", 0.1, float("nan"), ""),
        ("novelty@10", 0.1, 0.001, ""),
        ("ndcg@10", None, None, ""),
    ],
)
def test_daggers(metric: str, gain: float | None, p: float | None, sign: str):
    assert dagger(metric, gain, p) == sign


def test_gains_as_shares_of_the_baseline():
    assert percent(0.05, 0.01, 0.09, 0.1) == "+50.0% [+10.0%, +90.0%]"
    assert percent(0.05, 0.01, 0.09, 0.0) == "+0.0500 [+0.0100, +0.0900]"
    assert [p_value(p) for p in (0.0004, 0.0123, 1.0, None)] == ["<.001", ".012", "1.000", "-"]


def test_a_panel_is_safe_to_put_into_a_page():
    svg = panel("t", lambda axes: axes.set_title(EVIL)).svg
    assert svg.startswith("<svg ")
    assert svg.endswith("</svg>")
    assert "<script" not in svg
    assert "<style" not in svg


def test_what_a_page_is_about_looks_the_same_in_every_drawing():
    ours, theirs = legend(["popularity", "cmf", "l2_sp"], "l2_sp"), legend(["l2_sp"], "l2_sp")
    assert ours["l2_sp"] == theirs["l2_sp"]
    assert ours["l2_sp"].color == legend(["transferred"])["transferred"].color
    assert len({style.color for style in ours.values()}) == 3
