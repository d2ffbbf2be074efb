"""What a training step calls, counted: what made it fast cannot quietly go."""

from collections import Counter

from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from crossrec.data.datamodule import DomainDataModule
from crossrec.data.pair import DomainPair
from crossrec.models.lightgcn import LightGCN
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR
from crossrec.training.recommender import RecommenderTraining
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.l2_sp import L2SP


class Calls(TorchDispatchMode):
    """How often each operation runs."""

    def __init__(self) -> None:
        super().__init__()
        self.of: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.of[func.overloadpacket.__name__] += 1
        return func(*args, **(kwargs or {}))


def calls_of_a_step(pair: DomainPair, make: type[nn.Module]) -> Counter[str]:
    model = build_model(make, pair.source, None, 0)  # type: ignore[arg-type]
    module = RecommenderTraining(model, pair.source, BPR(), 1e-3, 1e-2)
    module.on_train_epoch_start()
    optimizer = module.configure_optimizers()
    batch = next(iter(DomainDataModule(pair.source, 1, 8, 0).train_dataloader()))
    for _ in range(2):  # the first step makes the optimizer's state besides
        with Calls() as calls:
            optimizer.zero_grad()
            module.training_step(batch, 0).backward()
            optimizer.step()
    return calls.of


def test_matrix_factorization_reads_rows_and_asks_for_nothing(small_pair: DomainPair) -> None:
    calls = calls_of_a_step(small_pair, MatrixFactorization)
    assert calls["searchsorted"] == 1  # all negatives
    assert calls["_fused_adamw_"] == 1  # all tables
    assert calls["index_select"] == 4  # users and items, vectors and biases: positives, negatives
    assert calls["cat"] == 0  # no copy of a catalog
    assert calls["_local_scalar_dense"] == 0  # no waiting for an accelerator
    assert calls.total() <= 90


def test_lightgcn_spreads_once_a_layer_each_way(small_pair: DomainPair) -> None:
    calls = calls_of_a_step(small_pair, LightGCN)
    assert calls["_embedding_bag_forward_only"] + calls["_embedding_bag"] == 6


def test_l2_sp_is_one_pass_over_each_tensor(small_pair: DomainPair) -> None:
    model = build_model(MatrixFactorization, small_pair.source, None, 0)
    values = {name: p.detach().clone() for name, p in model.named_parameters()}
    with Calls() as calls:
        L2SP(1.0).after_step(model, Anchor(values, {}, 1.0), 0.1)
    assert calls.of["lerp_"] == calls.of.total() == len(values)
