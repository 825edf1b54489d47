"""How a report looks: colours that colour-blind people tell apart, light and dark, on a desk and on a phone."""

_LIGHT = """color-scheme: light; --text: #1c2127; --quiet: #5b6570; --paper: #fff; --panel: #f5f6f8; --edge: #d9dde2;
  --accent: #0b63b0; --on-accent: #fff; --run-0: #0072b2; --run-1: #c2410c; --run-2: #007a5a; --run-3: #a83a7d;
  --run-4: #8a6a00; --run-5: #4b5563; --run-6: #1d9bd1; --run-7: #6d28d9; --good: #c9d3dc; --jitter: #56b4e9;
  --inversion: #e69f00; --swap: #b0508c; --miss: #d55e00;"""
_DARK = """color-scheme: dark; --text: #e3e7eb; --quiet: #9aa5b1; --paper: #14171b; --panel: #1d2126; --edge: #353c45;
  --accent: #6cb4f0; --on-accent: #10151a; --run-0: #56b4e9; --run-1: #ff8a4c; --run-2: #2fc79c; --run-3: #e58dc0;
  --run-4: #e3c44a; --run-5: #b6c0cc; --run-6: #2b8fc4; --run-7: #b79cff; --good: #46515d; --jitter: #56b4e9;
  --inversion: #e69f00; --swap: #cc79a7; --miss: #e8691b;"""

_DASHES = ("none", "7 3", "2 3", "9 3 2 3", "12 4", "4 2 1 2", "1 4", "7 2 2 2 2 2")
_RUNS = "\n".join(
    f".line.run-{n} {{ stroke: var(--run-{n}); stroke-dasharray: {dash}; }}"
    f" span.run-{n} {{ background: var(--run-{n}); }}"
    f" .dot.run-{n} {{ fill: var(--run-{n}); }} .card.run-{n} {{ border-top-color: var(--run-{n}); }}"
    for n, dash in enumerate(_DASHES)
)
_KINDS = "\n".join(
    f"span.kind-{kind} {{ background: var(--{kind}); }} .ring.kind-{kind} {{ stroke: var(--{kind}); }}"
    for kind in ("good", "jitter", "inversion", "swap", "miss")
)

STYLE = f"""
:root {{ {_LIGHT} }}
@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}
:root[data-theme=light] {{ {_LIGHT} }}
:root[data-theme=dark] {{ {_DARK} }}
* {{ box-sizing: border-box; }}
[hidden] {{ display: none !important; }}
html {{ scroll-padding-top: 3.5rem; }}
body {{ font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--paper); margin: 0 auto;
  max-width: 82rem; padding: 1rem; }}
h1 {{ font-size: 1.5rem; line-height: 1.25; margin: 0; overflow-wrap: anywhere; }}
h2 {{ font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--edge); }}
#scores h2 {{ border-top: 0; margin-top: .5rem; }}
h3 {{ font-size: 1rem; margin: 1.75rem 0 .5rem; }} h4 {{ font-size: .9rem; margin: 0; }}
p {{ margin: .25rem 0 .5rem; }} .quiet {{ color: var(--quiet); }} .small {{ font-size: .8rem; }}
.data {{ overflow-wrap: anywhere; }} code {{ font: .85em ui-monospace, monospace; }}
:focus-visible {{ outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 3px; }}
.top {{ display: flex; gap: 1rem; justify-content: space-between; align-items: start; }}
nav {{ position: sticky; top: 0; z-index: 3; display: flex; gap: .25rem 1rem; overflow-x: auto; padding: .5rem 0;
  background: var(--paper); border-bottom: 1px solid var(--edge); white-space: nowrap; }}
nav a, summary {{ color: var(--accent); }} nav a {{ text-decoration: none; padding: .15rem 0; }}
nav a:hover {{ text-decoration: underline; }} summary {{ cursor: pointer; padding: .4rem 0; }}
button, select, input {{ font: inherit; font-size: .9rem; color: var(--text); background: var(--panel);
  border: 1px solid var(--edge); border-radius: 6px; padding: .3rem .65rem; min-height: 2.1rem; max-width: 100%; }}
button {{ cursor: pointer; }} button[aria-pressed=true] {{ background: var(--accent); color: var(--on-accent);
  border-color: var(--accent); }}
.tools {{ display: flex; flex-wrap: wrap; gap: .4rem; align-items: center; margin: .4rem 0; }}
.cards {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(17rem, 100%), 1fr)); }}
.card {{ background: var(--panel); border: 1px solid var(--edge); border-top: 3px solid var(--edge); border-radius: 8px;
  padding: .75rem 1rem; max-width: 34rem; }} .card p {{ margin: .15rem 0; }}
.name {{ font-weight: 600; }} .score strong {{ font-size: 2.4rem; line-height: 1.1; letter-spacing: -.02em; }}
.score {{ font-size: 1rem; }} .small-score b {{ font-size: 1.25rem; }}
dl {{ display: grid; grid-template-columns: auto auto; gap: .1rem 1rem; margin: .5rem 0; justify-content: start;
  font-variant-numeric: tabular-nums; }} dt {{ color: var(--quiet); }} dd {{ margin: 0; text-align: right; }}
.scroll {{ overflow-x: auto; width: fit-content; max-width: 100%; margin: 1rem 0; border-radius: 8px;
  border: 1px solid var(--edge); }}
#settings .scroll {{ max-height: 34rem; overflow: auto; }}
table {{ border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; min-width: 100%; }}
th, td {{ padding: .3rem .75rem; text-align: left; border-bottom: 1px solid var(--edge); vertical-align: top; }}
tbody th {{ font-weight: 400; }} tbody tr:last-child > * {{ border-bottom: 0; }}
thead th {{ font-size: .8rem; color: var(--quiet); vertical-align: bottom; }}
.scroll thead th {{ position: sticky; top: 0; background: var(--paper); }}
.numbers {{ min-width: 0; }} .numbers td, .numbers thead th:not(:first-child) {{ text-align: right; }}
.numbers thead th {{ min-width: 4.2rem; }} .numbers tbody th {{ min-width: 6rem; }}
.numbers td {{ white-space: nowrap; }} .change {{ color: var(--quiet); margin-left: .5rem; }}
.texts th {{ min-width: 8rem; overflow-wrap: anywhere; }} .texts td {{ min-width: 9rem; }}
.texts tr.differs th {{ box-shadow: inset 3px 0 var(--accent); }}
.bars {{ width: 100%; }} .bars th, .bars td {{ border: 0; padding: .15rem .5rem .15rem 0; vertical-align: middle; }}
.bars tbody th {{ width: 11.5rem; line-height: 1.25; }} .bars td:last-child {{ width: 1%; padding-right: 0; }}
.bars td:last-child, .bars thead th:last-child {{ text-align: right; }}
.stack {{ display: flex; height: 1.05rem; border-radius: 3px; overflow: hidden; margin: 2px 0;
  background: var(--panel); }}
.stack span {{ display: block; height: 100%; box-shadow: inset -1px 0 var(--paper); }}
.measure {{ display: flex; gap: .5rem; align-items: center; margin: 1px 0; }}
.meter {{ flex: 1; height: .8rem; background: var(--panel); border-radius: 3px; overflow: hidden; }}
.meter span {{ display: block; height: 100%; min-width: 1px; }}
.measure .number {{ min-width: 3rem; text-align: right; }}
.boxes {{ display: grid; gap: 1.25rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(20rem, 100%), 1fr)); }}
.box .bars tbody th {{ width: 6rem; }}
.key, .kinds {{ list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.25rem; padding: 0; margin: .5rem 0; }}
.kinds {{ font-size: .85rem; color: var(--quiet); }} .kinds b {{ color: var(--text); }}
.square {{ display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .35rem; }}
.swatch {{ width: 24px; height: 10px; margin-right: .4rem; }}
.plots {{ display: grid; gap: 1rem; grid-template-columns: repeat(auto-fill, minmax(min(20rem, 100%), 1fr)); }}
figure {{ margin: 0; }} .plot figcaption {{ font-size: .85rem; font-weight: 600; }}
.chart {{ width: 100%; height: auto; display: block; touch-action: pan-y; }}
.chart text {{ font-size: 11px; fill: var(--quiet); }} .chart .grid {{ stroke: var(--edge); }}
.line {{ fill: none; stroke-width: 2; stroke-linejoin: round; }}
.reference {{ stroke: var(--quiet); stroke-dasharray: 3 3; }} .cursor {{ stroke: var(--quiet); stroke-width: .75; }}
#tip {{ position: fixed; z-index: 9; background: var(--paper); border: 1px solid var(--edge); border-radius: 6px;
  padding: .3rem .6rem; font-size: .8rem; pointer-events: none; max-width: 16rem; box-shadow: 0 2px 8px #0003; }}
#tip div {{ overflow-wrap: anywhere; }}
@media (max-width: 40rem) {{ body {{ padding: .75rem; }} .bars tbody th {{ width: 7rem; }} }}
@media print {{ nav, .tools {{ display: none; }} }}
{_RUNS}
{_KINDS}
"""
