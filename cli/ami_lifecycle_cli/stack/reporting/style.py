"""The style of the report: light, dark, and paper. No fonts or images are fetched."""

from __future__ import annotations

from typing import Final

# Phase colours keep their order of lightness for those who see no hue; text has a contrast of 4.5 or more.
STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --text: #1b2026; --soft: #5b6570; --line: #d9dee4;
  --good: #147a4b; --bad: #b3261e; --running: #1f5fbf; --kept: #8a5a00;
  --p1: #1f5fbf; --p2: #7b3fb5; --p3: #c77700; --p4: #147a4b; --p5: #8b97a5; --p6: #c9d0d8;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181d; --card: #1c2229; --text: #e8ecf1; --soft: #9fabb8; --line: #343d47;
    --good: #4cc38a; --bad: #ff8a80; --running: #7fb0ff; --kept: #f0b95b;
    --p1: #5b94ec; --p2: #b087e0; --p3: #e5a33d; --p4: #4cc38a; --p5: #75818e; --p6: #4a545f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 24px; margin: 8px 0 0; }
h2 { font-size: 20px; margin: 40px 0 12px; padding-top: 16px; border-top: 1px solid var(--line); }
h3 { font-size: 15px; margin: 22px 0 6px; }
.soft, .note { color: var(--soft); }
.card, .numbers li { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.card { padding: 14px 18px; overflow-x: auto; }
.numbers { display: flex; flex-wrap: wrap; gap: 12px; margin: 0 0 14px; padding: 0; list-style: none; }
.numbers li { flex: 1 1 150px; padding: 10px 14px; }
.numbers strong { display: block; font-size: 20px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.numbers .id { font: 600 15px/1.9 ui-monospace, monospace; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.drift { margin: 12px 0 0; padding-left: 18px; } .drift li::marker { content: "! "; color: var(--bad); }
.fine { color: var(--good); }
svg { display: block; width: 100%; min-width: 720px; height: auto; }
svg text { font: 12.5px system-ui, sans-serif; fill: var(--text); }
svg .mono { font-family: ui-monospace, monospace; font-size: 12px; } svg .strong { font-weight: 600; }
svg .soft { fill: var(--soft); }
.edge { fill: none; stroke: var(--line); stroke-width: 3; }
[class^="node-"] { fill: var(--card); stroke: var(--soft); stroke-width: 2.5; }
.node-live { fill: var(--good); stroke: var(--good); } .node-kept { fill: var(--kept); stroke: var(--kept); }
svg .status-live { fill: var(--good); font-weight: 600; } svg .status-kept { fill: var(--kept); }
svg .status-retired, svg .status-superseded { fill: var(--soft); }
.phase-1 { fill: var(--p1); } .phase-2 { fill: var(--p2); } .phase-3 { fill: var(--p3); }
.phase-4 { fill: var(--p4); } .phase-5 { fill: var(--p5); } .phase-6 { fill: var(--p6); }
.column-good { fill: var(--good); } .column-bad { fill: var(--bad); } .column-running { fill: var(--running); }
svg .text-bad { fill: var(--bad); font-weight: 600; } svg .text-running { fill: var(--running); }
.axis { stroke: var(--soft); } .grid { stroke: var(--line); }
.usual { stroke: var(--text); stroke-dasharray: 5 4; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 6px 0 0; padding: 0; list-style: none; }
.legend { color: var(--soft); }
.legend svg { display: inline-block; width: 12px; min-width: 12px; height: 12px; margin-right: 6px; }
@media print {
  :root {
    --page: #ffffff; --card: #ffffff; --text: #000000; --soft: #444444; --line: #bbbbbb;
    --good: #0b5d37; --bad: #98140d; --running: #174a96; --kept: #6b4500;
    --p1: #1f5fbf; --p2: #7b3fb5; --p3: #c77700; --p4: #147a4b; --p5: #8b97a5; --p6: #c9d0d8;
  }
  body { font-size: 11pt; } main { max-width: none; padding: 0; }
  h2 { break-before: page; } h2.first { break-before: auto; } .card, svg { break-inside: avoid; }
  svg { min-width: 0; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
