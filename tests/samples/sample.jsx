import a, { b as c } from "./x.js";
const { d } = require("./y");

/** Sends. */
module.exports.send = function (x) {
  return c(x);
};

class Session {
  static go = 1;
  run() {
    const y = a();
    return y;
  }
}

export default function main() {
  d();
  return new Session();
}
