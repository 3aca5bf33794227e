// Takes steps with the package that is named on the command line; the protocol is that of ../driver.py.
import { createInterface } from 'node:readline'

const { SeamHttp } = await import(`${process.argv[2]}/connect`)

const camelCase = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())

async function step(client, wish) {
  const way = (wish.call ?? wish.pages).split('.').map(camelCase)
  const name = way.pop()
  const route = way.reduce((place, part) => place[part], client)
  // What a caller leaves out is left out here too: an empty object would be sent as a body.
  const parameters = Object.keys(wish.with).length > 0 ? [wish.with] : []
  const request = route[name](...parameters)
  return await (wish.call ? request : client.createPaginator(request).flattenToArray())
}

function refused(error, parameters) {
  const byField = error.getValidationErrorMessages?.bind(error)
  return {
    name: error.name,
    code: error.code ?? null,
    status: error.statusCode ?? null,
    message: error.message,
    request_id: error.requestId ?? null,
    fields: byField ? Object.fromEntries(Object.keys(parameters).map((name) => [name, byField(name)])) : null,
  }
}

let client
for await (const line of createInterface({ input: process.stdin })) {
  const wish = JSON.parse(line)
  let answer
  try {
    if (wish.endpoint) client = new SeamHttp({ apiKey: wish.api_key, endpoint: wish.endpoint })
    answer = { value: wish.endpoint ? null : ((await step(client, wish)) ?? null), types: null, lacking: [] }
  } catch (error) {
    answer = { error: refused(error, wish.with ?? {}) }
  }
  console.log(JSON.stringify(answer))
}
