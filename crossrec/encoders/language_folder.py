"""A language model that was trained -> a Hugging Face folder that is opened like its origin."""

import re
import shutil
from pathlib import Path

from transformers import PreTrainedModel

from crossrec.encoders.language_model import open_body, open_tokenizer
from crossrec.encoders.quiet import quiet

SENTENCE_FILES = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


def save_language_model(
    network: PreTrainedModel, model_folder: Path, output_folder: Path, whole: bool
) -> None:
    """Write the network with its head, or the body alone as its origin had it.

    Parts of the origin that training does not know (BERT's pooler) are kept as they were, and the
    files of sentence-transformers come along.

    Args:
        network: with a language-modeling head.
        model_folder: its origin.
        output_folder: to write to.
        whole: whether the head belongs to the origin; one that training invented is not saved.
    """
    with quiet():
        if whole:
            network.save_pretrained(output_folder)
        else:
            body = open_body(model_folder)
            body.load_state_dict(network.base_model.state_dict(), strict=False)
            body.save_pretrained(output_folder)
        open_tokenizer(model_folder).save_pretrained(output_folder)
    for path in model_folder.iterdir():
        if path.is_dir() and re.match(r"\d+_", path.name):
            shutil.copytree(path, output_folder / path.name, dirs_exist_ok=True)
        elif path.name in SENTENCE_FILES:
            shutil.copyfile(path, output_folder / path.name)
