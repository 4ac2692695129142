// queue_history.mjs -- what the processes of the queue's chaos say they did, held against the database. It knows
// the promises (docs/queue.md) and nothing of the queue's code.
import { readFileSync } from 'node:fs';

export class QueueHistory {
    batches = []; // {first, count, isRolledBack, enqueued}
    enqueued = new Map(); // tag -> id
    runs = new Map(); // "id/epoch" -> {tag, attempt, by}
    attempts = []; // {tag, attempt}
    failures = new Map(); // tag -> how often
    done = new Map(); // tag -> epoch
    refused = 0; // acknowledgements of stale workers
    early = []; // what is wrong already in what they say

    /** Adds the file of one process. A last line that was cut off by its death is left out. */
    add(path) {
        const text = readFileSync(path, 'utf8');
        const whole = text.slice(0, text.lastIndexOf('\n') + 1);
        for (const line of whole.split('\n').filter(Boolean)) {
            const [what, ...rest] = line.split(' ');
            this[`on${what}`](path, ...rest.map(Number));
        }
    }

    onN(_, first, count) {
        this.batches.push({ first, count, isRolledBack: false });
    }

    onP(_, first, count) {
        this.batches.push({ first, count, isRolledBack: true });
    }

    onE(_, tag, id) {
        this.enqueued.set(tag, id);
    }

    onR(by, tag, id, epoch, attempt) {
        const key = `${id}/${epoch}`;
        const other = this.runs.get(key);
        if (other) this.early.push(`G3: job ${id} was given with epoch ${epoch} to ${other.by} and to ${by}`);
        this.runs.set(key, { tag, attempt, by });
        this.attempts.push({ tag, attempt });
    }

    onF(_, tag) {
        this.failures.set(tag, (this.failures.get(tag) ?? 0) + 1);
    }

    onA(_, tag, id, epoch) {
        if (this.done.has(tag)) this.early.push(`G3: tag ${tag} was done twice`);
        this.done.set(tag, epoch);
    }

    onZ(_, refused) {
        this.refused += refused;
    }

    /** Sentences about what is wrong. effects: rows {tag, job_id, epoch}; jobs: rows {tag, state}. */
    faults({ effects, jobs }) {
        const count = new Map();
        for (const e of effects) count.set(e.tag, (count.get(e.tag) ?? 0) + 1);
        return [
            ...this.early,
            ...this.#batchFaults(count),
            ...this.#runFaults(),
            ...this.#effectFaults(effects, count),
            ...jobs.map((j) => `G1: tag ${j.tag} still waits, state ${j.state}`),
        ];
    }

    *#batchFaults(count) {
        for (const { first, count: size, isRolledBack } of this.batches) {
            const tags = Array.from({ length: size }, (_, i) => first + i);
            const there = tags.filter((tag) => count.has(tag)).length;
            const isSaid = tags.some((tag) => this.enqueued.has(tag));
            if (isRolledBack && there > 0) yield `G2: ${there} jobs of the batch ${first} ran, which was rolled back`;
            if (isSaid && there < size) yield `G1: ${size - there} jobs of the batch ${first} are lost`;
            if (there > 0 && there < size) yield `G1: of the batch ${first} only ${there} of ${size} jobs are there`;
        }
    }

    *#runFaults() {
        for (const { tag, attempt } of this.attempts) {
            const failures = this.failures.get(tag) ?? 0;
            if (attempt > failures) yield `G5: tag ${tag} has ${attempt} attempts and failed ${failures} times`;
        }
    }

    *#effectFaults(effects, count) {
        for (const [tag, times] of count) if (times > 1) yield `G3: tag ${tag} has its effect ${times} times`;
        for (const tag of this.done.keys()) if (!count.has(tag)) yield `G3: tag ${tag} was done and has no effect`;
        for (const { tag, job_id: id, epoch } of effects) {
            const run = this.runs.get(`${id}/${epoch}`);
            if (run?.tag !== tag) yield `G3: tag ${tag} has an effect by epoch ${epoch}, which did not run it`;
            const said = this.done.get(tag);
            if (said !== undefined && said !== epoch) yield `G3: tag ${tag} was done by epoch ${said}, its effect is of ${epoch}`;
        }
    }
}
