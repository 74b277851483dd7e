// A product in its ordinary hours: bodies of 100 rows, at a rate that does not depend on how fast they are answered.
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds as common } from './lib.js';

const RATE = Number(__ENV.RATE || 200); // requests a second

export const options = {
  scenarios: {
    steady: { executor: 'constant-arrival-rate', rate: RATE, timeUnit: '1s', duration: `${SECONDS}s`, preAllocatedVUs: VUS, maxVUs: VUS * 5 },
  },
  thresholds: { ...common, refused: ['rate==0'], dropped_iterations: ['count==0'] },
};

export const setup = () => setup_('steady');
export default (data) => post(data, body(100), 100);
export const teardown = teardown_;
