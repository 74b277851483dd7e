// Collectors such as Vector or Fluent Bit: gzip, a thousand rows at once, a few connections.
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds } from './lib.js';

export const options = {
  scenarios: { gzip: { executor: 'constant-vus', vus: Math.max(1, Math.round(VUS / 4)), duration: `${SECONDS}s` } },
  thresholds,
};

export const setup = () => setup_('gzip');
export default (data) => post(data, body(1000), 1000, { compression: 'gzip' });
export const teardown = teardown_;
