// A launch: more and more users, up to VUS at once, as fast as they are answered, and down again. Where does it bend?
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds } from './lib.js';

export const options = {
  scenarios: {
    ramp: {
      executor: 'ramping-vus',
      startVUs: 1,
      stages: [
        { duration: `${Math.ceil(SECONDS * 0.6)}s`, target: VUS },
        { duration: `${Math.ceil(SECONDS * 0.2)}s`, target: VUS },
        { duration: `${Math.ceil(SECONDS * 0.2)}s`, target: 0 },
      ],
      gracefulRampDown: '5s',
    },
  },
  thresholds,
};

export const setup = () => setup_('ramp');
export default (data) => post(data, body(100), 100);
export const teardown = teardown_;
