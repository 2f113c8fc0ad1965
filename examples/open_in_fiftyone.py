"""Export a run to FiftyOne and look at the samples that show its gravest finding.

python examples/open_in_fiftyone.py demo/runs/biased my-dataset
"""

from __future__ import annotations

import sys

import camaudit as ca


def main(run: str, name: str, *, show: bool = True) -> None:
    audited = ca.open_run(run)
    dataset = audited.to_fiftyone(name, key="audit", overwrite=True)
    print(f"{len(dataset)} samples, views: {', '.join(dataset.list_saved_views()[:3])}")
    if show:
        from camaudit.browse import app

        app(name).wait(-1)


if __name__ == "__main__":
    main(*sys.argv[1:3], show="--no-app" not in sys.argv)
