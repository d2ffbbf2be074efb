"""What can be said about pretraining, by the names that users write."""

from dataclasses import dataclass


@dataclass(frozen=True)
class PretrainingOptions:
    """Settings of `pretrain`, which are those of conf/pretraining.

    Attributes:
        objective: "masked", "causal", "auto" (what the architecture was made for), "simcse" or
            "cooccurrence".
        language_weight: for the last two, weight of language modeling beside the contrast.
        batch_tokens: most tokens of a batch: texts x longest text, for contrast without padding.
        max_length: longest text in tokens.
        learning_rate: peak for the body.
        head_learning_rate: peak for a head that the folder lacked and that starts from noise.
        head_share: share of the steps in which only such a head learns, so that its first large
            gradients do not spoil the body; without such a head there are no such steps.
        warmup_share: share of the steps in which a learning rate rises; a cosine follows.
        trainable_layers: only the last so many layers of the body learn; None for all of it.
        lora_rank: r, to learn differences of rank r of the body's linear maps and a fresh head,
            and nothing else (see `add_low_rank`); None to learn the weights themselves.
        meaning_weight: in language modeling, weight of keeping texts' vectors near those of the
            model as it was; 0 makes a sentence encoder worse at similarity.
        masking: what a masked model is to find: random "tokens", or whole "fields".
        mask_share: share of tokens to predict in masked modeling.
        packing: whether texts fill rows of max_length without a gap, unseen by each other.
        temperature: of the contrast.
        window: most events of a history that are alike in "cooccurrence".
        held_out_share: share of texts that language modeling, and of users that "cooccurrence"
            does not see, and that measure what was learned.
        max_held_out: most texts held out.
        retrieval_users: most users held out.
        retrieval_texts: most texts that are looked through for what such users had; None for all.
        checkpoint_every: steps from one checkpoint to the next.
    """

    objective: str = "auto"
    language_weight: float = 0.0
    batch_tokens: int = 512
    max_length: int = 64
    learning_rate: float = 1e-4
    head_learning_rate: float = 2e-3
    head_share: float = 0.3
    warmup_share: float = 0.1
    trainable_layers: int | None = None
    lora_rank: int | None = None
    meaning_weight: float = 20.0
    masking: str = "tokens"
    mask_share: float = 0.15
    packing: bool = False
    temperature: float = 0.05
    window: int = 6
    held_out_share: float = 0.05
    max_held_out: int = 256
    retrieval_users: int = 300
    retrieval_texts: int | None = 1500
    checkpoint_every: int = 25

    @property
    def contrasts(self) -> bool:
        """Whether the objective is a contrast of texts' vectors."""
        return self.objective in ("simcse", "cooccurrence")
