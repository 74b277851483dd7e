// Hours of the same: SECONDS=28800. What grows that should not (memory, the log, parts, latency) shows in /metrics and in
// the difference between the first and the last part of the run.
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds as common } from './lib.js';

const RATE = Number(__ENV.RATE || 100);
const half = Math.ceil(SECONDS / 2);
const load = (startTime, part) => ({
  executor: 'constant-arrival-rate', rate: RATE, timeUnit: '1s', duration: `${half}s`, startTime: `${startTime}s`,
  preAllocatedVUs: VUS, maxVUs: VUS * 5, tags: { part },
});

export const options = {
  scenarios: { first_half: load(0, 'first'), second_half: load(half, 'second') },
  thresholds: {
    ...common,
    refused: ['rate==0'],
    'http_req_duration{part:first}': ['p(99)<500'],
    'http_req_duration{part:second}': ['p(99)<500'],
  },
};

export const setup = () => setup_('soak');
export default (data) => post(data, body(100), 100);
export const teardown = teardown_;
