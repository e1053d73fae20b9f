"""The style of the report: light, dark, and paper. No fonts or images are fetched."""

from __future__ import annotations

from typing import Final

# Text has a contrast of 4.5 or more. Neighbouring phases differ in hue and in lightness.
STYLE: Final = """
:root {
  color-scheme: light dark;
  --page: #f4f6f8; --card: #ffffff; --text: #1b2026; --soft: #56606b; --line: #d9dee4; --link: #1552a8;
  --good: #147a4b; --bad: #b3261e; --running: #1f5fbf; --look: #8a5a00; --none: #6b7680; --other: #6b4fb0;
  --p1: #2f6fd0; --p2: #8a4cc4; --p3: #c77700; --p4: #147a4b; --p5: #9aa5b1; --p6: #0e8a9c;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #13171c; --card: #1b2128; --text: #e8ecf1; --soft: #a3afbb; --line: #36404a; --link: #8ab8ff;
    --good: #4cc38a; --bad: #ff8a80; --running: #7fb0ff; --look: #f0b95b; --none: #95a1ad; --other: #b9a2f5;
    --p1: #5b94ec; --p2: #b07ae8; --p3: #e5a33d; --p4: #4cc38a; --p5: #66717d; --p6: #3cc7d6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1720px; margin: 0 auto; padding: 20px 20px 60px; }
h1 { font-size: 24px; margin: 4px 0 0; } p { margin: 4px 0 12px; }
h2 { font-size: 20px; margin: 32px 0 8px; } h3 { font-size: 15px; margin: 0 0 8px; }
a { color: var(--link); text-underline-offset: 2px; } h2 a { color: inherit; text-decoration: none; }
.soft, .note { color: var(--soft); } .fine { color: var(--good); margin: 10px 0 0; }
.id { font: 13px ui-monospace, monospace; white-space: nowrap; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 14px 16px; }
.card + .card { margin-top: 14px; }
.columns { display: grid; grid-template-columns: minmax(0, 1fr); gap: 14px; }
@media (min-width: 1000px) { .columns { grid-template-columns: minmax(0, 5fr) minmax(0, 6fr); align-items: start; } }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: 3px 14px; margin: 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
ol, ul { list-style: none; margin: 0; padding: 0; }
.lights { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 320px), 1fr)); gap: 14px; }
.light { --lamp: var(--none); background: var(--card); border: 1px solid var(--line);
  border-left: 8px solid var(--lamp);
  border-radius: 8px; padding: 12px 16px; }
.light.good { --lamp: var(--good); } .light.bad { --lamp: var(--bad); } .light.look { --lamp: var(--look); }
.light.running { --lamp: var(--running); }
.light h2 { margin: 0 0 8px; display: flex; flex-wrap: wrap; justify-content: space-between; gap: 4px 12px; }
.lamp { color: var(--lamp); font-size: 15px; line-height: 30px; }
.lamp::before { content: ""; display: inline-block; width: 13px; height: 13px; border-radius: 50%;
  background: var(--lamp); margin-right: 7px; vertical-align: -1px; }
.light.bad .lamp::before { border-radius: 2px; } .light.look .lamp::before { border-radius: 2px; rotate: 45deg; }
.drift { margin: 12px 0 0; padding-left: 18px; } .drift li::marker { content: "! "; color: var(--bad);
  font-weight: 700; }
.drift li { list-style: disc; overflow-wrap: anywhere; }
.lane { display: grid; grid-template-columns: 68px minmax(0, 1fr); align-items: end; }
.lane b { font-size: 13px; overflow: hidden; text-overflow: ellipsis; }
.track { position: relative; height: 46px; border-bottom: 1px solid var(--soft); }
.track.dates { height: 38px; border: 0; color: var(--soft); font-size: 12px; }
.dates span { position: absolute; top: 5px; padding-left: 4px; white-space: nowrap; }
.dates span::before { content: ""; position: absolute; left: 0; top: -5px; height: 12px;
  border-left: 1px solid var(--soft); }
.column { position: absolute; bottom: 0; width: 8px; margin-left: -4px; border-radius: 2px 2px 0 0; }
.column span { position: absolute; bottom: 100%; left: -2px; width: 12px; text-align: center;
  font: 700 13px/12px sans-serif; }
.column.good, .key.good { background: var(--good); } .column.bad, .key.bad { background: var(--bad);
  color: var(--bad); }
.column.other, .key.other { background: var(--other); }
.column.running, .key.running { background: var(--running); color: var(--running); }
.key { display: inline-block; width: 11px; height: 11px; border-radius: 2px; margin: 0 5px 0 10px;
  vertical-align: -1px; }
.lineage { display: grid; grid-template-columns: 48px minmax(0, 1fr); } .lineage svg { display: block; }
.lineage li { height: 80px; padding: 6px 0 0 10px; overflow: hidden; }
.about { font-size: 12.5px; line-height: 1.3; overflow-wrap: anywhere; }
.card > :last-child { margin-bottom: 0; }
.edge { fill: none; stroke: var(--soft); stroke-width: 2; }
[class^="node-"] { fill: var(--card); stroke: var(--soft); stroke-width: 2.5; }
.node-live { fill: var(--good); stroke: var(--good); } .node-kept { fill: var(--look); stroke: var(--look); }
.status-live { color: var(--good); font-weight: 600; } .status-kept { color: var(--look); }
.status-retired, .status-superseded { color: var(--soft); }
.builds li { padding: 10px 0; border-top: 1px solid var(--line); } .builds li:first-child { border: 0;
  padding-top: 0; }
.builds div { overflow-wrap: anywhere; } .why { margin: 4px 0; color: var(--bad); overflow-wrap: anywhere; }
.bar { display: flex; height: 12px; margin: 6px 0 4px; } .bar i:first-child { border-radius: 3px 0 0 3px; }
.phases { font-size: 12.5px; color: var(--soft); display: flex; flex-wrap: wrap; gap: 0 14px; }
.phases i { display: inline-block; width: 9px; height: 9px; border-radius: 2px; margin-right: 5px; }
.phase-1 { background: var(--p1); } .phase-2 { background: var(--p2); } .phase-3 { background: var(--p3); }
.phase-4 { background: var(--p4); } .phase-5 { background: var(--p5); } .phase-6 { background: var(--p6); }
.text-good { color: var(--good); } .text-bad { color: var(--bad); } .text-running { color: var(--running); }
.text-other { color: var(--other); }
@media (max-width: 560px) { .wide { display: none; } }
@media print {
  :root {
    --page: #ffffff; --card: #ffffff; --text: #000000; --soft: #444444; --line: #bbbbbb; --link: #000000;
    --good: #0b5d37; --bad: #98140d; --running: #174a96; --look: #6b4500; --none: #444444; --other: #4b3390;
    --p1: #2f6fd0; --p2: #8a4cc4; --p3: #c77700; --p4: #147a4b; --p5: #9aa5b1; --p6: #0e8a9c;
  }
  body { font-size: 9.5pt; } main { max-width: none; padding: 0; }
  h2, h2 + p, h3 { break-after: avoid; } h2 { margin-top: 18px; }
  .lights { grid-template-columns: repeat(2, minmax(0, 1fr)); } .columns { display: block; }
  .columns > * + * { margin-top: 10px; } .light, .builds li, .lineage li, .timeline { break-inside: avoid; }
  a { text-decoration: none; } * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""
