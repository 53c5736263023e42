// Functions on the packages that people build functions of. Each handler is one function.
'use strict';
const express = require('express');
const vendia = require('@vendia/serverless-express');
const serverless = require('serverless-http');
const { Logger } = require('@aws-lambda-powertools/logger');
const { Metrics, MetricUnit } = require('@aws-lambda-powertools/metrics');
const { Tracer } = require('@aws-lambda-powertools/tracer');
const { makeIdempotent, IdempotencyConfig, IdempotencyRecordStatus } = require('@aws-lambda-powertools/idempotency');
const { BasePersistenceLayer, IdempotencyRecord } = require('@aws-lambda-powertools/idempotency/persistence');
const {
  IdempotencyItemAlreadyExistsError, IdempotencyItemNotFoundError,
} = require('@aws-lambda-powertools/idempotency');

// app is a web application that knows nothing of functions.
function app() {
  const a = express();
  a.use(express.json());
  a.use(express.urlencoded({ extended: false }));
  a.get('/hello/:name', (req, res) => {
    res.cookie('first', '1').cookie('second', '2').set('x-version', process.env.AWS_LAMBDA_FUNCTION_VERSION);
    res.json({ hello: req.params.name, query: req.query, cookie: req.get('cookie'), host: req.get('host'), method: req.method });
  });
  a.post('/sum', (req, res) => res.status(201).json({ sum: req.body.numbers.reduce((x, y) => x + y, 0) }));
  a.post('/form', (req, res) => res.type('text').send(`form: ${req.body.name}`));
  a.get('/image', (req, res) => res.type('image/png').send(Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x00, 0xff])));
  a.get('/moved', (req, res) => res.redirect(302, '/hello/there'));
  a.get('/fail', () => { throw new Error('the application failed'); });
  a.use((req, res) => res.status(404).send(`nothing at ${req.path}`));
  return a;
}

exports.vendia = vendia({ app: app() });
exports.http = serverless(app(), { binary: ['image/png'] });

const logger = new Logger({ serviceName: 'shop' });
const metrics = new Metrics({ namespace: 'Shop', serviceName: 'shop' });
const tracer = new Tracer({ serviceName: 'shop' });

// Memory remembers payments for as long as the environment lives, as a table would for longer.
class Memory extends BasePersistenceLayer {
  items = new Map();
  async _deleteRecord(record) { this.items.delete(record.idempotencyKey); }
  async _getRecord(key) {
    const item = this.items.get(key);
    if (!item) throw new IdempotencyItemNotFoundError();
    return new IdempotencyRecord(item);
  }
  async _putRecord(record) {
    const now = Math.floor(Date.now() / 1000);
    const item = this.items.get(record.idempotencyKey);
    if (item && item.expiryTimestamp > now) throw new IdempotencyItemAlreadyExistsError();
    this.items.set(record.idempotencyKey, { idempotencyKey: record.idempotencyKey, status: IdempotencyRecordStatus.INPROGRESS, expiryTimestamp: record.expiryTimestamp });
  }
  async _updateRecord(record) {
    this.items.set(record.idempotencyKey, { idempotencyKey: record.idempotencyKey, status: IdempotencyRecordStatus.COMPLETED, responseData: record.responseData, expiryTimestamp: record.expiryTimestamp });
  }
}

let payments = 0;
const once = new IdempotencyConfig({ eventKeyJmesPath: 'id' });
const pay = makeIdempotent(async (order) => ({ order: order.id, payment: ++payments }), { persistenceStore: new Memory(), config: once });

exports.powertools = async (event, context) => {
  const segment = tracer.getSegment();
  const part = segment?.addNewSubsegment('## powertools');
  if (part) tracer.setSegment(part);
  try {
    once.registerLambdaContext(context);
    logger.addContext(context);
    tracer.annotateColdStart();
    tracer.putAnnotation('order', event.id);
    logger.info('paying', { order: event.id });
    metrics.captureColdStartMetric();
    metrics.addMetric('paid', MetricUnit.Count, 1);
    return { ...(await pay({ id: event.id })), traceId: tracer.getRootXrayTraceId() ?? null };
  } finally {
    part?.close();
    if (segment) tracer.setSegment(segment);
    metrics.publishStoredMetrics();
  }
};
