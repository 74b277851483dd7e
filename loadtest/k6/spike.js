// A campaign goes out: from a trickle to ten times as many clients within a second, twice. Refusing (503, with a time to
// come back) is fine while it lasts; errors and lost connections are not, and before and after nobody may be refused.
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds as common } from './lib.js';

const part = Math.max(1, Math.ceil(SECONDS / 7));
const stage = (target, duration) => ({ target, duration: `${duration}s` });

export const options = {
  scenarios: {
    spike: {
      executor: 'ramping-vus',
      startVUs: VUS,
      stages: [stage(VUS, part), stage(VUS * 10, 1), stage(VUS * 10, part), stage(VUS, 1), stage(VUS, part),
        stage(VUS * 10, 1), stage(VUS * 10, part), stage(VUS, 1), stage(VUS, part)],
      gracefulRampDown: '5s',
    },
  },
  thresholds: { ...common, refused: ['rate<0.2'], 'http_req_duration{call:events}': ['p(99)<3000'] }, // held for up to 2 s, then refused
};

export const setup = () => setup_('spike');
export default (data) => post(data, body(20), 20);
export const teardown = teardown_;
