// Many products behind one gateway: SOURCES data sources, every request to another one.
import { SECONDS, VUS, body, post, setup_, teardown_, thresholds } from './lib.js';

const SOURCES = Number(__ENV.SOURCES || 100);

export const options = {
  setupTimeout: '300s', // making a data source takes two tables
  scenarios: { sources: { executor: 'constant-vus', vus: VUS, duration: `${SECONDS}s` } },
  thresholds,
};

export const setup = () => setup_('sources', SOURCES);
export default (data) => post(data, body(50), 50);
export const teardown = teardown_;
