// Loaded ahead of kinesis-local: whatever listens, listens on 127.0.0.1. It has no setting for the address.
const { Server } = require("node:net");

const listen = Server.prototype.listen;

Server.prototype.listen = function (first, ...rest) {
  const options = typeof first === "object" ? first : { port: Number(first) };
  return listen.call(this, { ...options, host: "127.0.0.1" }, ...rest.filter((argument) => typeof argument === "function"));
};
