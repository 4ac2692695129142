// The charts of /admin/queues, from the numbers that the page carries; drawn again when it has asked for itself
// anew (refresh.ts). Only these pages load it.

import uPlot from 'uplot';

interface Kind {
    label: string;
    failed: number[];
}
interface Charts {
    at: number[];
    kinds: Kind[];
    [name: string]: (number | null)[] | Kind[];
}
/** One line of a chart. */
interface Line {
    label: string;
    values: (number | null)[];
}

const HEIGHT = 160;
const LINES: Record<string, string[]> = {
    throughput: ['done', 'failed'],
    ready: ['ready'],
    oldest: ['oldest'],
    wait: ['wait', 'slow_wait'],
    run: ['run', 'slow_run'],
};
const SECONDS = new Set(['oldest', 'wait', 'run']);
const COLORS: Record<string, string[]> = { throughput: ['--accent', '--bad'], failures: ['--bad', '--accent', '--signal', '--good', '--ink', '--quiet'] };
const PLAIN_COLORS = ['--accent', '--signal'];
const DASHES = [[], [6, 4], [2, 3], [10, 3, 2, 3], [1, 4], [14, 5]]; // no two lines differ by their colour alone

const charts = new Map<HTMLElement, { plot: uPlot; labels: string }>();

function numbers(): Charts | null {
    const text = document.getElementById('viche-data')?.textContent;
    return text ? ((JSON.parse(text) as { charts?: Charts }).charts ?? null) : null;
}

function linesOf(all: Charts, place: HTMLElement, name: string): Line[] {
    if (name === 'failures') return all.kinds.map((kind) => ({ label: kind.label, values: kind.failed }));
    const labels = (place.dataset.labels ?? '').split('|');
    return LINES[name]!.map((column, i) => ({ label: labels[i] ?? '', values: all[column] as (number | null)[] }));
}

const dataOf = (all: Charts, lines: Line[]): uPlot.AlignedData => [all.at, ...lines.map((line) => line.values)] as uPlot.AlignedData;

const color = (name: string): string => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** "750 ms", "12 s", "3 min" */
function seconds(value: number | null): string {
    if (value === null || value === undefined) return '–';
    const lang = document.documentElement.lang;
    const [amount, unit] = value < 1 ? [value * 1000, 'millisecond'] : value < 60 ? [value, 'second'] : value < 3600 ? [value / 60, 'minute'] : [value / 3600, 'hour'];
    return new Intl.NumberFormat(lang, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: 1 }).format(amount);
}

function plain(value: number | null): string {
    return value === null || value === undefined ? '–' : new Intl.NumberFormat(document.documentElement.lang, { maximumFractionDigits: 1 }).format(value);
}

function clock(time: number): string {
    return new Intl.DateTimeFormat(document.documentElement.lang, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' }).format(time * 1000);
}

function optionsOf(place: HTMLElement, name: string, lines: Line[]): uPlot.Options {
    const format = SECONDS.has(name) ? seconds : plain;
    const axis = { stroke: color('--quiet'), grid: { stroke: color('--rule'), width: 1 }, ticks: { show: false }, font: '12px sans-serif' };
    const strokes = (COLORS[name] ?? PLAIN_COLORS).map(color);
    return {
        width: place.clientWidth || 320,
        height: HEIGHT,
        cursor: { y: false, drag: { x: false, y: false } },
        scales: { y: { range: (_, min, max) => [Math.min(0, min ?? 0), Math.max(max ?? 0, SECONDS.has(name) ? 0.001 : 1)] } },
        axes: [
            { ...axis, incrs: [60, 300, 900, 1800, 3600, 10800, 21600], values: (_, times) => times.map(clock) },
            { ...axis, size: 72, values: (_, values) => values.map(format) },
        ],
        series: [
            { label: document.querySelector<HTMLElement>('[data-charts]')?.dataset.time ?? '', value: (_, time) => (time ? clock(time) : '–') },
            ...lines.map((line, i) => ({
                label: line.label,
                stroke: strokes[i]!,
                width: 1.5,
                dash: DASHES[i]!,
                points: { show: false },
                value: (__: uPlot, value: number | null) => format(value),
            })),
        ],
    };
}

function draw(): void {
    const all = numbers();
    const box = document.querySelector<HTMLElement>('[data-charts]');
    if (!all || !box) return;
    const hasHistory = all.at.length > 1;
    document.querySelector('[data-charts-nav]')?.toggleAttribute('hidden', !hasHistory);
    box.hidden = !hasHistory;
    if (!hasHistory) return;
    box.querySelector<HTMLElement>('[data-kinds]')?.toggleAttribute('hidden', all.kinds.length === 0);
    for (const place of box.querySelectorAll<HTMLElement>('[data-chart]')) drawOne(all, place);
}

function drawOne(all: Charts, place: HTMLElement): void {
    const name = place.dataset.chart!;
    const lines = linesOf(all, place, name);
    const labels = lines.map((line) => line.label).join('|');
    const chart = charts.get(place);
    if (chart?.labels === labels) {
        chart.plot.setData(dataOf(all, lines));
        return;
    }
    chart?.plot.destroy(); // other lines than before
    charts.delete(place);
    if (lines.length > 0) charts.set(place, { plot: new uPlot(optionsOf(place, name, lines), dataOf(all, lines), place), labels });
}

function drawAnew(): void {
    charts.forEach((chart) => chart.plot.destroy());
    charts.clear();
    draw();
}

let resized = 0;
addEventListener('resize', () => {
    cancelAnimationFrame(resized);
    resized = requestAnimationFrame(() => charts.forEach((chart, place) => chart.plot.setSize({ width: place.clientWidth, height: HEIGHT })));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAnew);
document.addEventListener('viche:refreshed', draw);
draw();
