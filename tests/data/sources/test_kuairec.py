"""KuaiRec as it is published: long watches are interactions, captions survive their line ends."""

import csv
import io
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import (
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    INTERACTION_COLUMNS,
    ITEM,
    KEYWORDS,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.sources import kuairec_files
from crossrec.data.sources.kuairec import KuaiRec
from crossrec.data.sources.kuairec_captions import COLUMNS, read_captions
from crossrec.errors import UserError

WATCHES = "user_id,video_id,play_duration,video_duration,time,date,timestamp,watch_ratio\n"
BIG = (
    WATCHES
    + "0,3649,13838,10867,2020-07-05 00:08:23.438,20200705,1593878903.438,1.2733965215790926\n"
    "0,1,23665,9067,2020-07-05 00:13:41.297,20200705,1593879221.297,2.610014337708172\n"
    "0,1,23665,9067,2020-07-05 00:13:42.297,20200705,1593879222.297,2.610014337708172\n"
    "14,0,4381,2190,2020-07-05 05:27:48.378,20200705.0,1593898068.378,2.0\n"
    "14,0,4381,6067,,,,0.7221031811438932\n"
    "14,9,91900,9190,,,,10.0\n"
)
TAGS = 'video_id,feat\n0,[8]\n1,"[27, 9]"\n2,[9]\n3,"[9, 8]"\n4,[31]\n'
HEADER = (
    "video_id,manual_cover_text,caption,topic_tag,first_level_category_id,"
    "first_level_category_name,second_level_category_id,second_level_category_name,"
    "third_level_category_id,third_level_category_name\n"
)
CAPTIONS = (
    HEADER + "0,UNKNOWN,精神小伙路难走 程哥你狗粮慢点撒,[],8,颜值,673,颜值随拍,-124,UNKNOWN\n"
    "1,UNKNOWN,,[],27,高新数码,-124,UNKNOWN,-124,UNKNOWN\n"
    '2,"第一行\n第二行",晚饭后\r运动 &amp; 一下,[],9,喜剧,727,搞笑互动,-124,UNKNOWN\n'
    '4,五爱街,"#搞笑 ""真""，, 好","[五爱市场,感谢快手我要上热门,搞笑]",'
    "5,时尚,737,营销售卖,2596,女装\n"
)


def write(place: Path, **content: str) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    files = {"big_matrix": BIG, "item_categories": TAGS, "kuairec_caption_category": CAPTIONS}
    for name, text in (files | content).items():
        (place / f"{name}.csv").write_text(text, encoding="utf-8", newline="")
    return place


def reader(folder: Path, above: float = 2.0, malformed: float = 0.01) -> KuaiRec:
    return KuaiRec(folder, above, download=False, max_malformed=malformed)


PLACES = ["KuaiRec 2.0/data", "KuaiRec/data", "KuaiRec", "."]


@pytest.mark.parametrize("place", PLACES)
def test_watches_of_more_than_twice_the_length(tmp_path: Path, place: str) -> None:
    write(tmp_path / place)
    raw = reader(tmp_path).read("big_matrix")
    events = raw.interactions.collect()
    assert tuple(events.columns) == INTERACTION_COLUMNS
    assert events.rows() == [
        ("kuairec_0", "kuairec_1", None, 1593879221, None, None),
        ("kuairec_0", "kuairec_1", None, 1593879222, None, None),  # repeats stay
        ("kuairec_14", "kuairec_9", None, None, None, None),
    ]
    assert (raw.n_lines, raw.n_malformed, raw.name) == (6, 0, "big_matrix")
    assert [path.name for path in raw.files] == [
        *("big_matrix.csv", "kuairec_caption_category.csv", "item_categories.csv")
    ]


@pytest.mark.parametrize(("above", "n_events"), [(0, 6), (0.7221, 6), (0.73, 5), (2, 3), (10, 0)])
def test_the_threshold_is_exclusive(tmp_path: Path, above: float, n_events: int) -> None:
    write(tmp_path / "KuaiRec")
    if n_events:
        raw = reader(tmp_path, above).read("big_matrix")
        assert raw.interactions.collect().height == n_events
    else:
        with pytest.raises(UserError, match="no interaction"):
            reader(tmp_path, above).read("big_matrix")


@pytest.mark.parametrize("above", [-0.1, float("nan"), float("inf")])
def test_a_threshold_that_is_none(tmp_path: Path, above: float) -> None:
    with pytest.raises(UserError, match=r"watch_ratio_above must be a number >= 0"):
        reader(tmp_path, above)


def test_videos(tmp_path: Path) -> None:
    write(tmp_path / "KuaiRec")
    items = reader(tmp_path).read("big_matrix").items.collect()
    columns = [ITEM, TITLE, DESCRIPTION, CATEGORIES, KEYWORDS, FEATURES]
    assert items.select(columns).rows() == [
        ("kuairec_0", "精神小伙路难走 程哥你狗粮慢点撒", None, "颜值 > 颜值随拍", None, None),
        ("kuairec_1", None, None, "高新数码", None, "喜剧"),
        ("kuairec_2", "晚饭后 运动 & 一下", "第一行 第二行", "喜剧 > 搞笑互动", None, None),
        (
            *("kuairec_4", '#搞笑 "真"，, 好', "五爱街", "时尚 > 营销售卖 > 女装"),
            *("五爱市场; 感谢快手我要上热门; 搞笑", None),
        ),
        ("kuairec_3", None, None, "喜剧", None, "颜值"),  # tags only
        ("kuairec_9", None, None, None, None, None),  # watches only
    ]


def test_videos_without_the_file_of_tags(tmp_path: Path) -> None:
    (write(tmp_path / "KuaiRec") / "item_categories.csv").unlink()
    raw = reader(tmp_path).read("big_matrix")
    items = raw.items.collect()
    assert len(raw.files) == 2
    assert items[CATEGORIES].to_list()[:2] == ["颜值 > 颜值随拍", "高新数码"]
    assert items[FEATURES].null_count() == len(items)


def test_matrices_share_their_ids(tmp_path: Path) -> None:
    small = WATCHES + "14,1,1,1,2020-07-05 05:27:48.378,20200705,1593898068.378,3.5\n"
    write(tmp_path / "KuaiRec", small_matrix=small)
    assert reader(tmp_path).read("small_matrix").interactions.collect().rows() == [
        ("kuairec_14", "kuairec_1", None, 1593898068, None, None)
    ]


@pytest.mark.parametrize("inside", ["clips", "clips/data"])
def test_a_data_set_of_ones_own(tmp_path: Path, inside: str) -> None:
    own = WATCHES + "7,0,1,1,,,1593898068,3.5\n"
    write(tmp_path / inside, big_matrix=own)
    write(tmp_path / "KuaiRec")
    raw = reader(tmp_path).read("clips")
    assert raw.name == "clips"
    assert raw.interactions.collect()[USER].to_list() == ["kuairec_7"]
    (tmp_path / inside / "big_matrix.csv").rename(tmp_path / inside / "small_matrix.csv")
    assert reader(tmp_path).read("clips").interactions.collect()[USER].to_list() == ["kuairec_7"]


def make_zip(folder: Path, *names: str) -> Path:
    source = write(folder / "elsewhere")
    path = folder / "KuaiRec.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.write(source / name, f"KuaiRec 2.0/data/{name}")
        archive.writestr("KuaiRec 2.0/data/social_network.csv", "not read")
    return path


def test_official_zip(tmp_path: Path) -> None:
    names = ("big_matrix.csv", "item_categories.csv", "kuairec_caption_category.csv")
    make_zip(tmp_path, *names)
    raw = reader(tmp_path).read("big_matrix")
    assert raw.interactions.collect().height == 3
    place = tmp_path / "KuaiRec 2.0" / "data"
    assert sorted(path.name for path in place.iterdir()) == sorted(names)


def test_captions_that_the_zip_lacks_are_fetched_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_zip(tmp_path, "big_matrix.csv", "item_categories.csv")
    with pytest.raises(UserError, match=r"caption_category\.csv is not in .*zenodo"):
        reader(tmp_path).read("big_matrix")

    def fetch(url: str, destination: Path, md5: str) -> Path:
        assert (url, md5) == (kuairec_files.CAPTIONS_URL, kuairec_files.CAPTIONS_MD5)
        destination.write_text(CAPTIONS, encoding="utf-8")
        return destination

    monkeypatch.setattr(kuairec_files, "fetch", fetch)
    raw = KuaiRec(tmp_path).read("big_matrix")
    assert raw.items.collect()[TITLE][0] == "精神小伙路难走 程哥你狗粮慢点撒"


def test_absent(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        reader(tmp_path).read("big_matrix")
    for part in ("big_matrix.csv", "zenodo.org/records/18164998", str(tmp_path), "marketplace"):
        assert part in str(error.value)
    with pytest.raises(UserError, match=r"domains big_matrix and small_matrix.*Big_Matrix"):
        reader(tmp_path).read("Big_Matrix")


MALFORMED = [
    "0,1,1,1,2020-07-05 00:08:23,20200705,1593878903.4,\n",
    "0,1,1,1,2020-07-05 00:08:23,20200705,1593878903.4,nan\n",
    "0,1,1,1,2020-07-05 00:08:23,20200705,yesterday,3.0\n",
    "u0,1,1,1,2020-07-05 00:08:23,20200705,1593878903.4,3.0\n",
    ",1,1,1,2020-07-05 00:08:23,20200705,1593878903.4,3.0\n",
    "0,1,1,1,2020-07-05 00:08:23,1593878903.4,3.0\n",
    "0,1,1,1,2020-07-05 00:08:23,20200705,1593878903.4,3.0,3.0\n",
    "0,1,1,1,2020-07-05 00:08:23,20200705,\n",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_watches_are_counted(tmp_path: Path, line: str) -> None:
    write(tmp_path / "KuaiRec", big_matrix=BIG + line + BIG.removeprefix(WATCHES))
    raw = reader(tmp_path, malformed=0.1).read("big_matrix")
    assert (raw.n_lines, raw.n_malformed) == (13, 1)
    assert raw.interactions.collect().height == 6
    with pytest.raises(UserError, match=r"big_matrix\.csv: 1 of 13 lines.*first is line 8"):
        reader(tmp_path).read("big_matrix")


@pytest.mark.parametrize("name", ["big_matrix", "item_categories", "kuairec_caption_category"])
def test_a_file_that_is_something_else(tmp_path: Path, name: str) -> None:
    write(tmp_path / "KuaiRec", **{name: "user_id,friend_list\n5352,[4202]\n"})
    with pytest.raises(UserError, match=rf"{name}\.csv, line 1: expected (the )?columns.*friend"):
        reader(tmp_path).read("big_matrix")


def captions(folder: Path, text: str | bytes, max_malformed: float = 0.0) -> pl.DataFrame:
    path = folder / "captions.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_captions(path, max_malformed)


ROW = "{},封面,题目,[],8,颜值,673,颜值随拍,-124,UNKNOWN\n"


@pytest.mark.parametrize(
    "line",
    [
        "5,封面,题,目,[],8,颜值,673,颜值随拍,-124,UNKNOWN\n",  # a comma without quotes
        "5,封面,题目,[],8,颜值\n",
        ROW.format("五"),
        ROW.format("5").replace("8,颜值,", "颜值,8,"),
    ],
)
def test_malformed_captions_are_counted(tmp_path: Path, line: str) -> None:
    good = "".join(ROW.format(i) for i in range(9))
    with pytest.raises(UserError, match=r"captions\.csv: 1 of 10 lines.*first is line 11"):
        captions(tmp_path, HEADER + good + line)
    assert captions(tmp_path, HEADER + good + line, 0.1)["video_id"].to_list() == list(range(9))


def test_a_stray_quote_does_not_swallow_the_rest(tmp_path: Path) -> None:
    """One record of 200 lines is 200 malformed lines, not one of ten."""
    good = "".join(ROW.format(i) for i in range(200))
    with pytest.raises(UserError, match=r"captions\.csv: 200 of 209 lines.*first is line 11"):
        captions(tmp_path, HEADER + good[: len(ROW) * 9] + '9,"封面,' + good, 0.5)


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"captions\.csv, line 3: expected UTF-8.*0xb7"):
        captions(tmp_path, (HEADER + ROW.format(0)).encode() + "1,封面\n".encode("gbk"))
    with pytest.raises(UserError, match="is empty"):
        captions(tmp_path, b"\n")


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=12)


@settings(max_examples=50, deadline=None)
@given(texts=st.lists(st.tuples(TEXT, TEXT, TEXT), min_size=1, max_size=8))
def test_captions_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]]
) -> None:
    rows = [
        (i, cover, caption, tag, 8, "颜值", 673, "颜值随拍", -124, "UNKNOWN")
        for i, (cover, caption, tag) in enumerate(texts)
    ]
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    frame = captions(tmp_path_factory.mktemp("captions"), HEADER + file.getvalue())
    assert tuple(frame.columns) == COLUMNS
    assert frame.select("manual_cover_text", "caption", "topic_tag").rows() == texts
    assert frame["video_id"].to_list() == list(range(len(texts)))


WATCH = st.tuples(
    st.integers(0, 7175),
    st.integers(0, 10727),
    st.floats(1_593_500_000, 1_600_000_000).map(lambda time: round(time, 3)) | st.none(),
    st.floats(0, 600),
)


@settings(max_examples=40, deadline=None)
@given(watches=st.lists(WATCH, min_size=1, max_size=20), above=st.floats(0, 5))
def test_watches_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    watches: list[tuple[int, int, float | None, float]],
    above: float,
) -> None:
    folder = tmp_path_factory.mktemp("kuairec")
    lines = [
        f"{user},{video},1,1,,,{'' if time is None else time},{share!r}\n"
        for user, video, time, share in watches
    ]
    write(folder / "KuaiRec", big_matrix=WATCHES + "".join(lines) + "1,1,1,1,,,1593500000.5,6\n")
    events = reader(folder, above).read("big_matrix").interactions.collect()
    assert events.select(USER, ITEM, TIMESTAMP).rows() == [
        (f"kuairec_{user}", f"kuairec_{video}", None if time is None else int(time))
        for user, video, time, share in [*watches, (1, 1, 1593500000.5, 6.0)]
        if share > above
    ]
