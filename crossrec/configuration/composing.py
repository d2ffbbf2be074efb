"""From what was written in YAML and on the command line to the settings of a run."""

import inspect
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import HydraException, InstantiationException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from crossrec.configuration.annotations import check_types
from crossrec.configuration.values import check_keys, check_values, nearest
from crossrec.errors import UserError
from crossrec.stages.settings import DataSettings, Part, Settings

CONF = Path(__file__).resolve().parents[2] / "conf"


def check_config(cfg: DictConfig, choices: Mapping[str, str | None]) -> None:
    """Refuse what is missing, what nothing would read, and values out of range.

    Components refuse unknown keys themselves (see `part`); the other groups would swallow them.

    Raises:
        UserError: names the key, and what there is or what was expected.
    """
    if missing := sorted(OmegaConf.missing_keys(cfg)):
        written = " ".join(f"{key}=..." for key in missing)
        raise UserError(f"{' and '.join(missing)} must be given: write {written}")
    chosen = {group: option for group, option in choices.items() if not group.startswith("hydra")}
    known = {*OmegaConf.load(CONF / "train.yaml"), *chosen} - {"defaults", "hydra"}
    check_keys("the command", cfg, known)
    for group, option in chosen.items():
        file = CONF / group / f"{option}.yaml"
        if group != "content" and group in cfg and "_target_" not in cfg[group] and file.exists():
            check_keys(f"{group}={option}", cfg[group], written_keys(file))
    check_content(cfg.content)
    check_values(plain(cfg))


def check_content(content: DictConfig) -> None:
    """Refuse modalities that do not exist and settings that theirs do not have."""
    files = {path.stem: path for path in (CONF / "content").glob("*.yaml")}
    check_keys("content", map(str, content), {*files, "fusion"})
    for modality in files.keys() & set(content):
        known: Any = OmegaConf.to_container(OmegaConf.load(files[modality]))
        if isinstance(known[modality], dict):
            check_keys(f"content.{modality}", content[modality], known[modality])


@cache  # the jobs of a sweep ask again
def written_keys(file: Path) -> frozenset[str]:
    """The keys of a group's YAML file and of those that it builds on."""
    node: Any = OmegaConf.to_container(OmegaConf.load(file))
    keys = frozenset(node) - {"defaults"}
    for base in node.get("defaults", []):
        if base != "_self_":
            keys |= written_keys(file.with_name(f"{base}.yaml"))
    return keys


def compose_data(cfg: DictConfig, folder: Path) -> DataSettings:
    """The settings of the data alone; each component is made once, for nothing.

    Raises:
        UserError: a key that its component does not take, or a value that it refuses.
    """
    reader = part("data.reader", cfg.data.reader)
    reader.make()
    split = plain(cfg.split)
    return DataSettings(
        seed=cfg.seed,
        run_folder=folder,
        artifacts=Path(cfg.paths.artifacts),
        data={key: value for key, value in plain(cfg.data).items() if key != "reader"},
        identity=plain(cfg.identity),
        protocol={key: split[key] for key in split if not key.endswith("function")},
        reader=reader,
        cleaning=part("cleaning", cfg.cleaning),
        split=part("split.function", cfg.split.function),
        split_source=part("split.source_function", cfg.split.source_function),
    )


def compose(cfg: DictConfig, folder: Path) -> Settings:
    """Settings of a configuration, without a logger; each component is made once, for nothing.

    Raises:
        UserError: a key that its component does not take, or a value that it refuses.
    """
    settings = _assembled(cfg, folder)
    from crossrec.configuration.rehearsal import (
        check_end_to_end,
        check_evaluation,
        check_fusion,
        check_model,
        check_private,
        check_start,
        check_text,
        check_trainer,
        check_weights_alone,
    )
    from crossrec.training.ranks import hush

    hush()
    settings.objective.make()
    check_evaluation(settings.evaluation)
    has_text = "text" in settings.content and settings.encoder["model"] is not None
    modalities = set(settings.content) - {"fusion", *(() if has_text else ("text",))}
    check_model(settings.model, has_content=bool(modalities))
    if not modalities:
        check_text({cfg.transfer.name: settings.transfer, **settings.candidates})
    if settings.end_to_end["layers"] is not None:
        check_end_to_end(settings.model, settings.encoder, modalities)
    if len(modalities) > 1:
        method = settings.transfer
        check_fusion(settings.content["fusion"], settings.model, cfg.transfer.name, method)
    if settings.end_to_end["layers"] is None:  # else the language model's weights are among them
        methods = settings.candidates.values() or [settings.transfer]
        fusion = settings.content["fusion"]
        check_start(settings.model, methods, [2] * len(modalities), fusion)
    check_trainer(settings.trainer)
    if settings.source_weights is not None:
        check_weights_alone(settings, "source_weights")
    if settings.is_private:
        check_private(settings)
    return settings


def recompose(folder: Path) -> Settings:
    """The settings of a run that was made, from the configuration in its folder.

    Nothing is rehearsed: the run was, and its trainer need not be at hand where it is only read.

    Raises:
        UserError: the file is missing, or is not what this version of crossrec writes.
    """
    file = folder / "config.yaml"
    try:
        cfg = OmegaConf.load(file)
        assert isinstance(cfg, DictConfig)
        return _assembled(cfg, folder)
    except OSError as error:
        raise UserError(
            f"{folder} is no run folder: it holds no config.yaml. Give the folder that training "
            "printed at its end"
        ) from error
    except (OmegaConfBaseException, YAMLError, AssertionError) as error:
        raise UserError(
            f"{file} is not a configuration that this version of crossrec reads "
            f"({in_one_line(error)}): run again with this version"
        ) from error


def _assembled(cfg: DictConfig, folder: Path) -> Settings:
    """Settings of a configuration; each method is made once, for nothing."""
    # What is refused is told now, not after an hour of training; the quickest to import go first.
    data = compose_data(cfg, folder)
    transfer = part("transfer", cfg.transfer.method)
    transfer.make()
    candidates = plain(cfg.transfer).get("candidates", {})
    return Settings(
        **vars(data),
        model=part("model", cfg.model),
        objective=part("objective", cfg.objective),
        transfer=transfer,
        scratch=method_of("scratch", {}),
        candidates={name: method_of(name, changed or {}) for name, changed in candidates.items()},
        trainer=part("trainer", cfg.trainer),
        content=plain(cfg.content),
        encoder=plain(cfg.encoder),
        pretraining=plain(cfg.pretraining),
        end_to_end=plain(cfg.end_to_end),
        training=plain(cfg.training),
        privacy=plain(cfg.privacy),
        evaluation=plain(cfg.evaluation),
        recommend=plain(cfg.recommend),
        reranking=plain(cfg.reranking),
        source_weights=Path(cfg.source_weights) if cfg.source_weights else None,
        logger=lambda stage: None,
        callbacks=lambda stage: [],
    )


def method_of(name: str, changed: Mapping[str, Any]) -> Part:
    """A transfer method as its YAML file has it, but for what is changed.

    Raises:
        UserError: there is no such method, or it has no such setting.
    """
    file = CONF / "transfer" / f"{name}.yaml"
    if not file.exists():
        options = sorted(path.stem for path in file.parent.glob("*.yaml"))
        raise UserError(f"transfer.candidates: no method {name!r}; {nearest(name, options)}")
    check_keys(f"transfer.candidates.{name}", changed, written_keys(file))
    # Under its group's name, so that its ${transfer...} is its own and not that of the run.
    node = OmegaConf.create({"transfer": OmegaConf.merge(OmegaConf.load(file), dict(changed))})
    made = part("transfer", node.transfer.method)
    made.make()
    return made


def part(name: str, node: Any) -> Part:
    """A component of a configuration node that has a `_target_`.

    Raises:
        UserError: the target does not exist, or does not take a key or a value.
    """
    try:
        make = hydra.utils.instantiate(node, _partial_=True, _convert_="all")
    except InstantiationException as error:
        raise UserError(f"{name}: {in_one_line(error)}") from error
    check_keys(name, make.keywords, inspect.signature(make.func).parameters)
    written: Any = OmegaConf.to_container(node, resolve=False)
    # A value that stands elsewhere (${transfer.lambda}) is called by the name that users know.
    names = {
        key: link[1]
        if (link := re.fullmatch(r"\$\{(.+)\}", str(written[key])))
        else f"{name}.{key}"
        for key in make.keywords
    }
    check_types(make.func, make.keywords, names)
    return Part(plain(node), make)


def plain(node: Any) -> Any:
    """A configuration node as plain Python values, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True)


def explain(error: HydraException, arguments: list[str]) -> str:
    """Why the command could not be composed, in one line, with the nearest thing there is."""
    if isinstance(error, MissingConfigException):
        group, _, option = (error.missing_cfg_file or "").rpartition("/")
        # Hydra does not say what there is where an option stands in a list (content=[...]).
        options = error.options or sorted(path.stem for path in (CONF / group).glob("*.yaml"))
        if options:
            return f"there is no {group}={option}; {nearest(option, options)}"
    wrong = re.match(r"Could not override '([^']+)'", str(error))
    if wrong is None:
        return in_one_line(error)
    key = wrong[1]
    group, modality = [*key.split("."), ""][:2]
    listed = any(given.startswith("content=") and modality in given for given in arguments)
    if group == "content" and (CONF / group / f"{modality}.yaml").exists() and not listed:
        return f"{key} is a setting of content=[...] that lists {modality}: add it to the list"
    if (CONF / key).is_dir():
        return f"{key} has no default to replace: write +{key}=..."
    rest = [given for given in arguments if "=" in given and key not in given]
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            node = hydra.compose("train", rest)
    except HydraException:
        return f"there is no setting {key}"
    above = ""
    for name in key.split("."):
        if not OmegaConf.is_dict(node) or name not in node:
            break
        node, above = node[name], f"{above}{name}."
    known = [above + str(name) for name in node] if OmegaConf.is_dict(node) else []
    return f"there is no setting {key}; {nearest(above + name, known)}"


def in_one_line(error: Exception) -> str:
    """An error's message without its line breaks."""
    return " ".join(str(error).split())
