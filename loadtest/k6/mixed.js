// All sizes at once: single events, small batches, large files, and a few clients that wait until rows are stored.
// A large body must not hold up the small ones.
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds as common } from './lib.js';

const users = (share, exec) => ({
  executor: 'constant-vus', vus: Math.max(1, Math.round(VUS * share)), duration: `${SECONDS}s`, exec,
});

export const options = {
  scenarios: {
    single: users(0.5, 'single'),
    small: users(0.3, 'small'),
    large: users(0.1, 'large'),
    waiting: users(0.1, 'waiting'),
  },
  thresholds: {
    ...common,
    'http_req_duration{call:events}': ['max<30000'], // with wait=true a request lasts as long as a flush
    'http_req_duration{scenario:single}': ['p(99)<500'],
    'http_req_duration{scenario:small}': ['p(99)<500'],
    'http_req_duration{scenario:large}': ['p(99)<2000'],
    'http_req_duration{scenario:waiting}': ['p(99)<3000'],
  },
};

export const setup = () => setup_('mixed');
export const single = (data) => post(data, body(1), 1);
export const small = (data) => post(data, body(100), 100);
export const large = (data) => post(data, body(10000), 10000);
export const waiting = (data) => post(data, body(10), 10, { wait: true });
export const teardown = teardown_;
