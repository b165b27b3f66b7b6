"""The command line: `JOB`, `compare JOB`, `job OUT`."""

import argparse
import sys
from pathlib import Path

import torch

from . import __version__
from .choice import carry_out
from .compare import RECIPES, compare
from .errors import BAD_JOB, DONE, NO_IMPROVEMENT, TRY_AGAIN, BadJob, TryAgain
from .folder_job import make_job
from .job import read_job
from .plots import draw_job
from .progress import Progress, complain
from .ranks import join_ranks
from .results import write_results
from .session import Session


def run(folder: Path, device: str | None) -> int:
    """Carries out the job of a folder; gives the exit code. Raises BadJob, TryAgain."""
    job = read_job(folder)
    ranks = join_ranks(device or job.device)
    session = Session(job, ranks, Progress(folder / "log.jsonl" if ranks.leads else None))
    choice = carry_out(session, job.recipe)
    if ranks.leads:
        metrics = write_results(session, choice)
        draw_job(folder, metrics)
        session.progress.note({"chosen": choice.chosen.recipe, "why": choice.why, "improved": choice.improved})
    return DONE if choice.improved else NO_IMPROVEMENT


def _parser(command: str) -> argparse.ArgumentParser:
    if command == "job":
        parser = argparse.ArgumentParser(
            "graft-trainer job", description="Make a job folder from folders of pictures, one a class."
        )
        parser.add_argument("out", type=Path, help="folder to make")
        parser.add_argument("--backbone", type=Path, required=True, help="ONNX file")
        parser.add_argument("--card", type=Path, dest="card_path", help="its card [default: the .toml beside it]")
        parser.add_argument("--train", type=Path, required=True, help="pictures to train on and to choose by")
        parser.add_argument("--test", type=Path, help="pictures that only judge")
        parser.add_argument("--recipe", default="auto")
        parser.add_argument("--seed", type=int, default=0)
        parser.add_argument("--epochs", type=int)
        parser.add_argument("--limit", type=int, help="most pictures of a class and split")
        parser.add_argument("--flip", action="store_true", help="a mirrored picture is of the same class")
        parser.add_argument("--bursts", help="pattern whose group finds the burst in a file name")
        return parser
    if command == "compare":
        parser = argparse.ArgumentParser(
            "graft-trainer compare", description="Run every recipe on one job and print one table."
        )
        parser.add_argument("--recipes", default=",".join(RECIPES), help="comma-separated [default: %(default)s]")
    else:
        parser = argparse.ArgumentParser(
            "graft-trainer",
            description="Fine-tune a backbone by a job folder (docs/reference/trainer.md). "
            "Other uses: graft-trainer compare JOB, graft-trainer job OUT.",
            epilog="Exit codes: 0 done, 2 the job cannot be carried out, 3 no improvement, 75 try again.",
        )
        parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("job", type=Path, help="job folder")
    parser.add_argument("--device", help="auto, cpu or cuda:0 [default: what the job says]")
    return parser


def _act(command: str, args: argparse.Namespace) -> int:
    if command == "job":
        make_job(**vars(args))
        return DONE
    if command == "compare":
        compare(args.job, args.device, args.recipes.split(","))
        return DONE
    return run(args.job, args.device)


def main(arguments: list[str] | None = None) -> int:
    """The program; gives the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    command = arguments[0] if arguments and arguments[0] in ("compare", "job") else ""
    args = _parser(command).parse_args(arguments[1:] if command else arguments)
    try:
        return _act(command, args)
    except BadJob as error:
        complain(str(error))
        return BAD_JOB
    except TryAgain as error:
        complain(str(error))
        return TRY_AGAIN
    except torch.cuda.OutOfMemoryError as error:
        complain(f"out of memory on the GPU: {error}")
        return TRY_AGAIN
    except OSError as error:
        complain(f"{error}; the job can be started again and goes on from its last epoch")
        return TRY_AGAIN
