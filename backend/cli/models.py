"""``models``: which models are here, getting them, checking them, and their licences."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from backend.cli.model_reports import (
    print_conversions,
    print_json,
    print_states,
    print_verification,
    state_json,
    verification_json,
)
from backend.errors import LicenceNotAccepted
from backend.settings import Settings
from backend.units import SystemClock

if TYPE_CHECKING:
    from backend.models.checkpoints.acceptance import Acceptances
    from backend.models.checkpoints.catalogue import Model
    from backend.models.checkpoints.hub import Hub
    from backend.models.checkpoints.places import Places

NOT_GOOD = 1


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the parser."""
    models = commands.add_parser("models", help="list, pull and check models with weights")
    actions = models.add_subparsers(required=True, metavar="action")
    listing = actions.add_parser("list", help="every model: where it is, what is missing")
    listing.set_defaults(command=list_models)
    pull = actions.add_parser("pull", help="get a model, and those that belong to it")
    pull.add_argument("--again", action="store_true", help="even if it is here already")
    pull.add_argument("--needed-only", action="store_true", help="without what it may use besides")
    pull.set_defaults(command=pull_model)
    verify = actions.add_parser("verify", help="check every tensor, and the checksums if pulled")
    verify.set_defaults(command=verify_model)
    convert = actions.add_parser("convert", help="turn pickles into .safetensors, once")
    convert.set_defaults(command=convert_model)
    accept = actions.add_parser("accept", help="read and accept the licence of a model")
    accept.set_defaults(command=accept_licence)
    for parser in (pull, accept):
        parser.add_argument("model", metavar="ID", help="as 'models list' shows it")
        parser.add_argument("--accept-licence", action="store_true", help="do not ask")
    for parser in (verify, convert):
        parser.add_argument("model", metavar="ID|DIR", help="a model, or the folder it lies in")
    for parser in actions.choices.values():
        parser.add_argument("--json", action="store_true", help="print for programs")
        parser.add_argument("--data-dir", type=Path, help="folder of jobs and files")
        parser.add_argument("--model-path", metavar="DIR", help="folder with the weights of models")


def list_models(args: argparse.Namespace) -> int:
    """Print what is there of every model."""
    from backend.models.checkpoints.listing import model_states

    places, acceptances = _here(args)
    states = model_states(places, acceptances)
    if args.json:
        print_json({"models": [state_json(state) for state in states]})
    else:
        print_states(states)
    return 0


def pull_model(args: argparse.Namespace) -> int:
    """Get a model, and those that belong to it, once their licences are accepted."""
    from backend.models.checkpoints.catalogue import model_of
    from backend.models.checkpoints.listing import model_state
    from backend.models.checkpoints.opening import runnable_model

    model = runnable_model(args.model)
    places, acceptances = _here(args)
    names = [*model.needs, model.id, *(() if args.needed_only else model.uses)]
    wanted = [model_of(name) for name in names]
    for each in {each.licence: each for each in wanted}.values():
        _accept(args, each, acceptances)
    for each in wanted:
        _pull_one(args, each, places)
    if args.json:
        print_json(state_json(model_state(model, places, acceptances)))
    return 0


def _pull_one(args: argparse.Namespace, model: Model, places: Places) -> None:
    """Get a model unless it is here."""
    from backend.models.checkpoints.finding import find_model, pickles_of, require_model
    from backend.models.checkpoints.pickle_names import converted_path
    from backend.models.checkpoints.pulling import pull

    found = find_model(model, places)
    if found is not None and found.is_complete and not args.again:
        _say(f"{model.title} is here already, in {found.folder}. '--again' gets it once more.")
    else:
        record = pull(
            model, places.own_folder / model.id, _hub_of(args, model), SystemClock(), _say
        )
        _say(f"{model.title} is here, revision {record.revision}.")
    pickles = pickles_of(require_model(model, places))
    if not all(converted_path(path).is_file() for path in pickles):
        _say(
            f"It is a pickle. Loading is faster after: python -m backend models convert {model.id}"
        )


def _hub_of(args: argparse.Namespace, model: Model) -> Hub:
    from backend.models.checkpoints.hub import HuggingFaceHub
    from backend.models.checkpoints.release_hub import ReleaseHub

    if model.release is not None:
        return ReleaseHub(model.release)
    return HuggingFaceHub(shows_progress=not args.json)


def verify_model(args: argparse.Namespace) -> int:
    """Check the files of a model; status 1 when they are not as they should be."""
    from dataclasses import replace

    from backend.models.checkpoints.finding import require_model
    from backend.models.checkpoints.listing import lacking_models
    from backend.models.checkpoints.opening import described
    from backend.models.checkpoints.pull_record import read_record
    from backend.models.checkpoints.verify import verify

    model, places = _chosen(args)
    found = require_model(model, places)
    record = read_record(found.root)
    result = verify(described(found), record, found.root)
    lacking = lacking_models(model, places, _here(args)[1])
    notes = (f"It cannot be run without {each}, which is not ready." for each in lacking)
    result = replace(result, notes=(*result.notes, *notes))
    if args.json:
        print_json(verification_json(found, result))
    else:
        print_verification(found, result)
    return 0 if result.is_good else NOT_GOOD


def convert_model(args: argparse.Namespace) -> int:
    """Turn the pickles of a model into .safetensors files beside them."""
    from backend.models.checkpoints.converting import convert
    from backend.models.checkpoints.finding import pickles_of, require_model

    model, places = _chosen(args)
    found = require_model(model, places)
    conversions = [convert(path, _say) for path in pickles_of(found)]
    print_conversions(model, conversions, as_json=args.json)
    return 0


def accept_licence(args: argparse.Namespace) -> int:
    """Record that the licence of a model is accepted."""
    from backend.models.checkpoints.listing import model_state
    from backend.models.checkpoints.opening import runnable_model

    model = runnable_model(args.model)
    places, acceptances = _here(args)
    _accept(args, model, acceptances)
    acceptances.accept(model)
    if args.json:
        print_json(state_json(model_state(model, places, acceptances)))
    else:
        print(f"Accepted: the licence of {model.title}, {model.licence}.")
    return 0


def _accept(args: argparse.Namespace, model: Model, acceptances: Acceptances) -> None:
    """Show the licence, and ask unless it was accepted before.

    Raises
    ------
    LicenceNotAccepted
    """
    from backend.models.checkpoints.licences import licence_of

    licence = licence_of(model.licence)
    _say(licence.notice)
    if acceptances.covers(model):
        return
    if not args.accept_licence:
        _ask(model)
    acceptances.accept(model)


def _ask(model: Model) -> None:
    if not sys.stdin.isatty():
        raise LicenceNotAccepted(
            f"The licence of {model.title} has not been accepted, and nobody can be asked.",
            advice="If you accept it, add --accept-licence.",
        )
    print("Type 'yes' to accept it: ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() != "yes":
        raise LicenceNotAccepted(
            f"The licence of {model.title} was not accepted; nothing was done."
        )


def _chosen(args: argparse.Namespace) -> tuple[Model, Places]:
    """Return the model that was named by its id or by its folder, and where to look."""
    from dataclasses import replace

    from backend.models.checkpoints.catalogue import MODELS, model_of
    from backend.models.checkpoints.identity import model_in

    places, _ = _here(args)
    folder = Path(args.model)
    if args.model in {model.id for model in MODELS} or not folder.is_dir():
        return model_of(args.model), places
    return model_in(folder), replace(places, model_path=folder.absolute())


def _here(args: argparse.Namespace) -> tuple[Places, Acceptances]:
    from backend.models.checkpoints.acceptance import Acceptances
    from backend.models.checkpoints.places import Places

    data_dir = args.data_dir and args.data_dir.expanduser().resolve()
    places = Places.of(Settings.from_env(data_dir=data_dir, model_path=args.model_path))
    return places, Acceptances(places.own_folder, SystemClock())


def _say(words: str) -> None:
    """Tell people what is done; programs read the other stream."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(words, markup=False)
