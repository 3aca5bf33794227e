// Serves fake-seam-connect with as many events of one lock as the last argument says, one of them of another lock:
// node fake.js <events> --port <port>
import net from "node:net";

import { createFake } from "@seamapi/fake-seam-connect";

// It would listen on every interface of the machine, and has no option for that.
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  return listen.call(this, { port: Number(port), host: "127.0.0.1" }, rest.find((one) => typeof one === "function"));
};

const [events, , port] = process.argv.slice(2);
const fake = await createFake();
await fake.seed();
fake.database.setState({ events: [] });
for (let number = 0; number < Number(events); number++) {
  fake.database.addEvent({
    event_type: "access_code.created",
    workspace_id: "seed_workspace_1",
    device_id: number === 7 ? "lock-of-one" : "01890f4e-9a3c-7d52-8b11-4f6a2c9d0e01",
    connected_account_id: "01890f4e-9a3c-7d52-8b11-4f6a2c9d0e02",
    access_code_id: `01890f4e-9a3c-7d52-8b11-${String(number).padStart(12, "0")}`,
    connected_account_custom_metadata: {},
    device_custom_metadata: {},
  });
}
await fake.startServer({ port: Number(port) });
