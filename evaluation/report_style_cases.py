"""How the pictures of a report look, in the gallery and magnified."""

CASE_STYLE = """
.definitions { position: absolute; }
.case-tools { position: sticky; top: 2.8rem; z-index: 2; background: var(--paper); padding: .1rem 0; }
.gallery { display: grid; gap: 1.25rem 1rem; grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); }
.case { min-width: 0; } .case h3 { font-size: .8rem; font-weight: 400; margin: 0 0 .25rem; color: var(--quiet); }
.case.pair { grid-column: span 2; } .panes { display: grid; gap: .5rem; }
.panes.both { grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); }
.zoom { padding: 0; border: 0; background: none; width: 100%; display: block; cursor: zoom-in; border-radius: 6px; }
.picture { display: block; width: 100%; height: auto; border-radius: 6px; background: var(--panel); }
.gallery .picture { max-height: 24rem; }
figure.shown figcaption { font-size: .8rem; margin-top: .3rem; display: flex; flex-wrap: wrap; gap: .2rem .3rem;
  align-items: center; }
.chip { border: 1px solid var(--edge); border-radius: 9px; padding: 0 .45rem; }
.rank { background: var(--panel); }
.picture path { fill: none; stroke-linecap: round; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.picture { --pen: .75px; } .stage .picture { --pen: 1px; }
.limb { stroke-width: calc(2.5 * var(--pen)); }
.casing { stroke: #000; stroke-opacity: .55; stroke-width: calc(4.5 * var(--pen)); }
.left { stroke: #42a5f5; } .right { stroke: #ff7043; } .middle { stroke: #66bb6a; }
.point { stroke-width: calc(5 * var(--pen)); } .rim { stroke: #fff; stroke-width: calc(7.5 * var(--pen)); }
.ring { stroke: #fff; stroke-width: calc(15 * var(--pen)); }
.truth .limb { stroke: #fff; stroke-width: calc(2 * var(--pen)); stroke-dasharray: 1 4; }
.truth .casing { stroke-width: calc(4 * var(--pen)); } .truth .rim { stroke: #000; stroke-width: calc(6 * var(--pen)); }
.truth .point { stroke: #fff; stroke-width: calc(4 * var(--pen)); }
.of-background .limb, .of-duplicate .limb { stroke-dasharray: 6 4; }
.of-missed .limb { stroke: #ffe14d; } .of-missed .point { stroke: #ffe14d; }
.picture .box { fill: none; stroke: #42a5f5; stroke-width: 1.5; vector-effect: non-scaling-stroke; }
.truth .box { stroke: #fff; stroke-dasharray: 5 4; }
.picture text { font-size: calc(var(--text) / var(--zoom, 1)); font-weight: 700; fill: #fff; stroke: #000;
  stroke-width: .16em; paint-order: stroke; font-family: system-ui, sans-serif; }
.picture .truth .id { fill: #ffe14d; }
.no-predicted .answer, .no-annotated .truth, .no-keypoints .keypoint, .no-errors .letter, .no-errors .ring,
.no-keypoints .letter, .no-heatmap .heatmap, .no-boxes .box, .no-ids .id { display: none; }
dialog { width: min(96vw, 110rem); height: 94vh; height: 94dvh; max-width: none; max-height: none; padding: .75rem;
  border: 1px solid var(--edge); border-radius: 10px; background: var(--paper); color: var(--text); }
dialog[open] { display: flex; flex-direction: column; } dialog::backdrop { background: #000a; }
dialog header { display: flex; flex-wrap: wrap; gap: .25rem 1rem; justify-content: space-between; align-items: center; }
dialog h3 { margin: 0; overflow-wrap: anywhere; font-size: .95rem; min-width: 0; }
dialog header button { min-width: 2.4rem; }
.stage { flex: 1; min-height: 0; display: flex; gap: .75rem; overflow: auto; }
.stage figure { flex: 1; min-width: 0; display: flex; flex-direction: column; min-height: 16rem; }
.stage .picture { flex: 1; min-height: 0; height: 100%; touch-action: none; cursor: grab; }
.stage .persons { display: block; margin: .25rem 0 0; padding-left: 1.1rem; max-height: 8.5rem; overflow: auto;
  font-size: .8rem; overflow-wrap: anywhere; }
@media (max-width: 48rem) {
  .case.pair { grid-column: auto; } .case-tools { position: static; }
  dialog { width: 100vw; height: 100dvh; border-radius: 0; border: 0; padding: .5rem; }
  .stage { flex-direction: column; } .stage figure { flex: none; } .stage .picture { height: auto; flex: none; }
  .stage .persons { max-height: none; } .hint { display: none; } dialog button { padding: .2rem .5rem; }
}
"""
