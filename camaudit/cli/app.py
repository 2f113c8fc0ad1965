"""The commands. Whatever is heavy is imported inside them, so that ``camaudit --help`` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from shutil import which
from typing import Annotated

import typer

from camaudit import __version__
from camaudit.errors import CamauditError, ConfigError

app = typer.Typer(
    help="Is your image classifier right for the right reason?",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
fiftyone = typer.Typer(help="Browse a run in FiftyOne.", no_args_is_help=True)
app.add_typer(fiftyone, name="fiftyone")

Config = Annotated[Path, typer.Argument(metavar="AUDIT.YAML", help="The audit's configuration.")]
RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A finished run's folder.")]
DatasetName = Annotated[str, typer.Option("--dataset", help="Name of the FiftyOne dataset.")]
TrustCode = Annotated[
    bool,
    typer.Option(
        "--trust-code", help="Open a model that is a program (TorchScript, torch.export, a Python factory)."
    ),
]
Key = Annotated[
    str | None, typer.Option(help="Prefix of the run's fields; the run folder's name where left out.")
]


_INTERRUPTED = 130


def main() -> None:
    """Run a command; an error that a person can mend is printed without a traceback."""
    try:
        app()
    except CamauditError as error:
        sys.stderr.write(f"camaudit: {error}\n")
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes the one of the other
        if isinstance(end, SystemExit) and end.code != _INTERRUPTED:
            raise
        how = "; go on with --resume" if sys.argv[1:2] == ["run"] else ""
        sys.stderr.write(f"\ncamaudit: interrupted{how}\n")
        raise SystemExit(_INTERRUPTED) from None


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"camaudit {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command()
def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the data, the models, the runs and the reports.")
    ] = Path("demo"),
) -> None:
    """The doctor/nurse example of the Grad-CAM paper: two models trained, audited and compared."""
    from camaudit.cli.printing import progress, say
    from camaudit.demo.experiment import experiment
    from camaudit.demo.summary import summary

    with progress() as shown:
        result = experiment(out, progress=shown)
    # in a virtual environment that is not active the bare name would not be found
    say(summary(result, program="camaudit" if which("camaudit") else sys.argv[0]))


@app.command()
def run(
    config: Config,
    out: Annotated[
        Path | None, typer.Option(help="The run's folder; runs/NAME beside the configuration.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run that was interrupted.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="An unreadable image ends the run.")] = False,
    engine: Annotated[str, typer.Option(help="Where batches are computed: local.")] = "local",
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or cuda:N.")] = None,
    trust_code: TrustCode = False,
) -> None:
    """Run an audit and write its report."""
    if engine != "local":
        msg = f"There is no engine {engine!r}; this version has local."
        raise ConfigError(msg)
    from camaudit.cli.printing import describe_run, progress, say
    from camaudit.config import load_config
    from camaudit.runs import run_config

    loaded = load_config(config)
    if device is not None:
        loaded = loaded.model_copy(update={"audit": loaded.audit.model_copy(update={"device": device})})
    with progress() as shown:
        finished = run_config(
            loaded,
            out or config.parent / "runs" / config.stem,
            resume=resume,
            strict=strict,
            trust_code=trust_code,
            progress=shown,
        )
    say(describe_run(finished))


@app.command()
def init(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="With a dataset; or the name of an empty AUDIT.YAML to write."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The YAML file; FOLDER/audit.yaml.")
    ] = None,
) -> None:
    """Write a commented configuration that fits what lies in a folder; '# ?' marks what is guessed."""
    from camaudit.cli.printing import say
    from camaudit.runs.proposing import propose, skeleton

    if folder.suffix in {".yaml", ".yml"} and not folder.is_dir():
        skeleton(folder)
        say(f"Written: {folder}. Fill it in, then try: camaudit check {folder}")
        return
    out = output or folder / "audit.yaml"
    what = propose(folder, out)
    say(f"Recognised {what}.\nWritten: {out}. Look at the lines with '# ?', then try: camaudit check {out}")


@app.command()
def check(
    config: Config,
    sheet: Annotated[
        Path | None, typer.Option(help="The contact sheet, a PNG; NAME.check.png beside the configuration.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write what was found as JSON, too.")] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Print every problem, not the first ones of each kind.")
    ] = False,
    duplicates: Annotated[
        bool, typer.Option(help="Look for images that show the same picture, in all splits.")
    ] = True,
    trust_code: TrustCode = False,
) -> None:
    """Try everything without running: data, regions, model, one batch, cost; says every problem at once."""
    from camaudit.cli.checked import describe_check
    from camaudit.cli.printing import progress, say
    from camaudit.runs import check_file
    from camaudit.runs.checking.written import write_check

    with progress() as shown:
        found = check_file(
            config, trust_code=trust_code, duplicates=duplicates, everything=everything, progress=shown
        )
    say(describe_check(found, everything=everything))
    for path in write_check(found, sheet or config.with_name(f"{config.stem}.check.png"), json):
        say(f"written: {path}")
    if found.problem_counts:
        raise typer.Exit(2)


@app.command()
def report(
    run: RunPath,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file; RUN/report.html.")
    ] = None,
) -> None:
    """Write the HTML report of a run."""
    from camaudit.cli.printing import say
    from camaudit.runs import open_run

    say(str(open_run(run).report(output)))


@app.command()
def compare(
    run_a: Annotated[Path, typer.Argument(metavar="RUN_A")],
    run_b: Annotated[Path, typer.Argument(metavar="RUN_B")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = Path("comparison.html"),
) -> None:
    """Compare two runs over the same images."""
    from camaudit.cli.printing import say
    from camaudit.compare import compare as compare_runs
    from camaudit.runs import open_run

    say(str(compare_runs(open_run(run_a), open_run(run_b)).report(output)))


@app.command()
def explain(
    config: Annotated[Path, typer.Argument(metavar="AUDIT.YAML", help="Whose model explains the images.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...")],
    method: Annotated[
        list[str] | None,
        typer.Option(help="Attribution method; may be given again. The audit's where left out."),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(help="predicted, class:NAME or contrast:NAME,NAME; may be given again."),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Folder for the pictures and the raw maps.")
    ] = Path("explained"),
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    trust_code: TrustCode = False,
) -> None:
    """Explain single images: scores, maps as arrays, and maps over the picture."""
    from camaudit.cli.printing import describe_images, say
    from camaudit.config import load_config
    from camaudit.runs.images import explain_config

    explained = explain_config(
        load_config(config), images, out, methods=method, targets=target, device=device, trust_code=trust_code
    )
    say(describe_images(explained))


@app.command()
def layers(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="An audit's YAML file, or a name of torchvision or timm.")
    ],
    trust_code: TrustCode = False,
) -> None:
    """List the layers that maps can be made at; the one that is found by itself is marked."""
    from camaudit.cli.printing import describe_layers, say
    from camaudit.runs.images import layers_of

    say(describe_layers(*layers_of(model, trust_code=trust_code)))


@app.command()
def methods() -> None:
    """List the attribution methods: what each costs, and whether it can be believed to speak of a class."""
    from camaudit.cli.printing import describe_methods, say
    from camaudit.explain import all_methods

    say(describe_methods(all_methods().values()))


@fiftyone.command()
def export(
    run: RunPath,
    dataset: DatasetName,
    key: Key = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export of the same key.")
    ] = False,
) -> None:
    """Write a run into a FiftyOne dataset."""
    from camaudit.cli.printing import say
    from camaudit.runs import open_run

    open_run(run).to_fiftyone(dataset, key=key, overwrite=overwrite)
    say(f"Exported to the dataset {dataset}. Open it with: camaudit fiftyone app --dataset {dataset}")


@fiftyone.command()
def remove(dataset: DatasetName, run: RunPath, key: Key = None) -> None:
    """Take every trace of a run out of a FiftyOne dataset."""
    from camaudit.browse import remove as remove_run
    from camaudit.cli.printing import say

    remove_run(dataset, key or run.name)
    say(f"Removed {key or run.name} from the dataset {dataset}.")


@fiftyone.command("app")
def open_app(
    dataset: DatasetName,
    port: Annotated[int, typer.Option(help="Port of the App.")] = 5151,
    address: Annotated[str, typer.Option(help="Address the App listens at.")] = "localhost",
) -> None:
    """Open a FiftyOne dataset in the App; ends with Ctrl-C."""
    from camaudit.browse import app as browse
    from camaudit.cli.printing import say

    session = browse(dataset, port=port, address=address)
    say(f"The App is at http://{address}:{port}/datasets/{dataset} (Ctrl-C ends it)")
    session.wait(-1)
