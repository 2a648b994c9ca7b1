// Jobs that do nothing through BullMQ on Redis, added in bulk, one worker with
// 32 at a time: node peer_bullmq.js REDIS-PORT [JOBS]. NODE_PATH finds the module.
const { Queue, Worker } = require('bullmq');

const connection = { host: '127.0.0.1', port: Number(process.argv[2]), maxRetriesPerRequest: null };
const jobs = Number(process.argv[3] || 20000);
const bulk = 1000;

async function main() {
    const queue = new Queue('noop', { connection });
    await queue.waitUntilReady();
    const began = process.hrtime.bigint();
    for (let at = 0; at < jobs; at += bulk)
        await queue.addBulk(Array.from({ length: Math.min(bulk, jobs - at) },
            (_, i) => ({ name: 'noop', data: { x: at + i } })));
    await new Promise((resolve) => {
        let done = 0;
        const worker = new Worker('noop', async (job) => job.data.x,
            { connection, concurrency: 32 });
        worker.on('completed', () => { if (++done === jobs) resolve(worker.close()); });
    });
    const seconds = Number(process.hrtime.bigint() - began) / 1e9;
    await queue.close();
    console.log(JSON.stringify({ name: 'peers.bullmq.redis', value: Math.round(jobs / seconds),
        unit: 'jobs/s', ratio: null, against: null }));
}

main().then(() => process.exit(0), (error) => { console.error(error.message); process.exit(1); });
