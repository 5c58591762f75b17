// Search runs in a Worker, and browsers start none for a page that was opened as a file.
// Such a page gets one that lives in a hidden frame instead; this file's name keeps the theme
// from loading another from the network.
class FrameWorker extends EventTarget {
  constructor(url) {
    super();
    const frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
    this.frame = frame;
    this.inside = frame.contentWindow;
    this.inside.postMessage = (data) => this.tell(data);
    this.inside.importScripts = async (...urls) => {
      for (const each of urls) await this.load(each);
    };
    this.ready = this.load(url);
  }
  load(url) {
    const script = this.inside.document.createElement("script");
    script.src = url;
    return new Promise((done, failed) => {
      script.onload = done;
      script.onerror = failed;
      this.inside.document.body.append(script);
    });
  }
  tell(data) {
    const event = new MessageEvent("message", { data });
    this.dispatchEvent(event);
    if (this.onmessage) this.onmessage(event);
  }
  postMessage(data) {
    this.ready.then(() => this.inside.dispatchEvent(new MessageEvent("message", { data })));
  }
  terminate() {
    this.frame.remove();
  }
}
if (location.protocol === "file:") window.Worker = FrameWorker;
