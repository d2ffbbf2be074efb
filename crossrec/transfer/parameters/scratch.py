"""No transfer of weights: the target model starts where it was initialized."""

from crossrec.transfer.method import TransferMethod


class Scratch(TransferMethod):
    """The baseline that transfer has to beat: the same model, from target data alone.

    Args:
        reads_source: also read what target users did in the source. The model then learns what
            that says of them, but from target data alone: the row between scratch and finetune,
            which tells what the source's events are worth from what its weights are worth.
    """

    def __init__(self, reads_source: bool = False) -> None:
        self.reads_source = reads_source
