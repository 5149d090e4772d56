// Shows, as notifications of JupyterLab's, what the gate (gate.py) has to say of a kernel's Slurm job when no cell runs:
// that it waits, that its time is nearly over, that it has ended. The gate sends it as messages of the type
// aurora_notice, which other programs ignore.
//
// JupyterLab loads an extension as a container of module federation: `init` gets the modules that are shared, `get`
// returns the plugin. That little needs no build step, so this file is written by hand.
window._JUPYTERLAB = window._JUPYTERLAB || {};
window._JUPYTERLAB['aurora-slurm'] = (() => {
  let shared;

  async function load(name) {
    const [provided] = Object.values(shared[name]); // one version: JupyterLab's own
    return (await provided.get())();
  }

  function follow(panel, Notification) {
    let id = '';
    panel.sessionContext.iopubMessage.connect((_, message) => {
      if (message.header.msg_type !== 'aurora_notice') {
        return;
      }
      const { level, text } = message.content;
      if (level === 'ready') {
        Notification.dismiss(id);
        return;
      }
      const note = { message: `${panel.title.label}: ${text}`, type: level, autoClose: false };
      if (id && Notification.manager.has(id)) {
        Notification.update({ id, ...note });
      } else {
        id = Notification.emit(note.message, level, { autoClose: false });
      }
    });
    panel.disposed.connect(() => id && Notification.dismiss(id));
  }

  async function get() {
    const [{ Notification }, { INotebookTracker }] = await Promise.all(
      ['@jupyterlab/apputils', '@jupyterlab/notebook'].map(load)
    );
    const plugin = {
      id: 'aurora-slurm:notices',
      description: "Says what happens to a kernel's Slurm job.",
      autoStart: true,
      requires: [INotebookTracker],
      activate: (_, notebooks) => {
        notebooks.forEach(panel => follow(panel, Notification));
        notebooks.widgetAdded.connect((_, panel) => follow(panel, Notification));
      }
    };
    return () => ({ __esModule: true, default: plugin });
  }

  return {
    init: scope => {
      shared = scope;
    },
    get
  };
})();
