// The charts of /admin/queues, from the numbers that the page carries; drawn again when it has asked for itself
// anew (refresh.ts). Only these pages load it.

import uPlot from 'uplot';

interface Columns {
    at: number[];
    [name: string]: (number | null)[];
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

const charts = new Map<HTMLElement, uPlot>();

function columns(): Columns | null {
    const text = document.getElementById('viche-data')?.textContent;
    return text ? ((JSON.parse(text) as { charts?: Columns }).charts ?? null) : null;
}

const dataOf = (all: Columns, name: string): uPlot.AlignedData => [all.at, ...LINES[name]!.map((line) => all[line]!)] as uPlot.AlignedData;

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

function optionsOf(place: HTMLElement, name: string): uPlot.Options {
    const format = SECONDS.has(name) ? seconds : plain;
    const labels = (place.dataset.labels ?? '').split('|');
    const axis = { stroke: color('--quiet'), grid: { stroke: color('--rule'), width: 1 }, ticks: { show: false }, font: '12px sans-serif' };
    const strokes = [color('--accent'), name === 'throughput' ? color('--bad') : color('--signal')];
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
            ...LINES[name]!.map((_, i) => ({
                label: labels[i] ?? '',
                stroke: strokes[i]!,
                width: 1.5,
                dash: i > 0 ? [6, 4] : [],
                points: { show: false },
                value: (__: uPlot, value: number | null) => format(value),
            })),
        ],
    };
}

function draw(): void {
    const all = columns();
    const box = document.querySelector<HTMLElement>('[data-charts]');
    if (!all || !box) return;
    const hasHistory = all.at.length > 1;
    document.querySelector('[data-charts-nav]')?.toggleAttribute('hidden', !hasHistory);
    box.hidden = !hasHistory;
    if (!hasHistory) return;
    for (const place of box.querySelectorAll<HTMLElement>('[data-chart]')) {
        const name = place.dataset.chart!;
        const chart = charts.get(place);
        if (chart) chart.setData(dataOf(all, name));
        else charts.set(place, new uPlot(optionsOf(place, name), dataOf(all, name), place));
    }
}

function drawAnew(): void {
    charts.forEach((chart) => chart.destroy());
    charts.clear();
    draw();
}

let resized = 0;
addEventListener('resize', () => {
    cancelAnimationFrame(resized);
    resized = requestAnimationFrame(() => charts.forEach((chart, place) => chart.setSize({ width: place.clientWidth, height: HEIGHT })));
});
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAnew);
document.addEventListener('viche:refreshed', draw);
draw();
