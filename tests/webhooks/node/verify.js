// Verifies deliveries with the package that is named on the command line; the protocol is that of ../verify.py.
import { createInterface } from 'node:readline'

const made = {
  standardwebhooks: async () => (await import('standardwebhooks')).Webhook,
  svix: async () => (await import('svix')).Webhook,
  '@seamapi/webhook': async () => (await import('@seamapi/webhook')).SeamWebhook,
}
const Webhook = await made[process.argv[2]]()

for await (const line of createInterface({ input: process.stdin })) {
  const { secret, headers, body } = JSON.parse(line)
  let refusal = null
  try {
    new Webhook(secret).verify(Buffer.from(body, 'base64').toString(), headers)
  } catch (error) {
    refusal = `${error.name}: ${error.message}`
  }
  console.log(JSON.stringify(refusal))
}
