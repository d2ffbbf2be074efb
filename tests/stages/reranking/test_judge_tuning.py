"""LoRA teaches a judge what train says, leaves everything else as it was, and saves one model."""

from pathlib import Path

import lightning
import pytest
import torch
from safetensors.torch import load_file

from crossrec.encoders.likelihood import answer_tokens, open_causal, yes_over_no
from crossrec.training.judge_tuning import Example, JudgeTuning, collate, tune_judge


def trainer(steps: int) -> lightning.Trainer:
    return lightning.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )


def test_the_loss_by_hand(judge_folder: Path) -> None:
    network, _ = open_causal(judge_folder, "k")
    module = JudgeTuning(network, (3, 4), [], 1e-3, 1)
    examples = [Example([5, 6, 7], True), Example([8, 9], False)]
    with torch.no_grad():
        found = module(*collate(examples)[:2])
        for example, value in zip(examples, found, strict=True):
            logits = network(torch.tensor([example.tokens])).logits[0, -1]
            torch.testing.assert_close(value, logits[3] - logits[4], atol=1e-5, rtol=1e-4)
        loss = module.log  # without a trainer nothing can be logged
        module.log = lambda *_, **__: None  # type: ignore[method-assign]
        expected = -(found[0].sigmoid().log() + (-found[1]).sigmoid().log()) / 2
        torch.testing.assert_close(module.training_step(collate(examples), 0), expected)
        module.log = loss  # type: ignore[method-assign]


@pytest.mark.filterwarnings("ignore:.*num_workers.*")
@pytest.mark.parametrize("layers", [1, None])
def test_tuning_learns_and_is_merged(
    judge_folder: Path, tmp_path: Path, layers: int | None
) -> None:
    network, tokenizer = open_causal(judge_folder, "k")
    answers = answer_tokens(tokenizer, "Answer:\n", "k")
    yes = tokenizer("product of oak")["input_ids"]
    no = tokenizer("customer")["input_ids"]
    pairs = [(Example([token, *yes], True), Example([token, *no], False)) for token in range(40)]
    before = yes_over_no(network, [1], [yes, no], answers)
    account = tune_judge(
        pairs[4:],
        pairs[:4],
        network,
        tokenizer,
        answers,
        tmp_path / "tuned",
        trainer(15),
        examples=8,
        rank=4,
        layers=layers,
        learning_rate=2e-2,
        seed=0,
    )
    assert account["loss_after"] < 0.5 * account["loss_before"]
    assert account["auc_after"] == 1
    assert account["steps"] == 15
    old, new = (
        load_file(folder / "model.safetensors") for folder in (judge_folder, tmp_path / "tuned")
    )
    assert old.keys() == new.keys()  # merged: a plain folder, without adapters
    changed = {name for name in old if not torch.equal(old[name], new[name])}
    assert changed
    assert all("proj" in name for name in changed)
    if layers == 1:
        assert all(name.startswith("model.layers.1.") for name in changed)
    reopened, _ = open_causal(tmp_path / "tuned", "k")
    after = yes_over_no(reopened, [1], [yes, no], answers)
    assert after[0] - after[1] > before[0] - before[1]
