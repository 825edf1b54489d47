"""Arguments that several commands take."""

from typing import Annotated

import typer

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of the recipe, e.g. optim.lr=5e-4")
]
Address = Annotated[
    str | None, typer.Option(help="HOST:PORT of a Ray cluster  [default: the one this job runs in, else this machine]")
]
Dashboard = Annotated[
    str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard, such as http://head:8265")
]
