// The report is whole without this: it adds a filter, copy buttons, and opens what a link or the printer needs.
(function () {
  "use strict";
  var form = document.querySelector("form.filter");
  var input = document.getElementById("filter");
  var output = document.getElementById("filtered");
  var findings = Array.prototype.slice.call(document.querySelectorAll("details.finding"));

  function apply() {
    var words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    var shown = 0;
    findings.forEach(function (finding) {
      var text = finding.textContent.toLowerCase();
      var hit = words.every(function (word) { return text.indexOf(word) >= 0; });
      finding.hidden = !hit;
      if (hit) { shown += 1; }
    });
    output.textContent = words.length ? shown + " of " + findings.length : "";
    history.replaceState(null, "", words.length ? "#?" + encodeURIComponent(input.value) : location.pathname + location.search);
  }

  if (form && findings.length) {
    form.hidden = false;
    form.addEventListener("submit", function (event) { event.preventDefault(); });
    input.addEventListener("input", apply);
    var open = true;
    var expand = document.getElementById("expand");
    expand.textContent = "Close all";
    expand.addEventListener("click", function () {
      open = !open;
      findings.forEach(function (finding) { finding.open = open; });
      expand.textContent = open ? "Close all" : "Open all";
    });
    if (location.hash.indexOf("#?") === 0) {
      try { input.value = decodeURIComponent(location.hash.slice(2)); } catch (error) { input.value = ""; }
      apply();
    }
  }

  document.querySelectorAll(".command").forEach(function (command) {
    var button = document.createElement("button");
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", function () {
      var text = command.querySelector("pre").textContent;
      var done = function () { button.textContent = "Copied"; };
      if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done, function () { select(command); }); } else { select(command); }
    });
    command.appendChild(button);
  });

  // A page opened from a file may not write to the clipboard: the text is selected instead.
  function select(command) {
    var range = document.createRange();
    range.selectNodeContents(command.querySelector("pre"));
    var selection = window.getSelection();
    selection.removeAllRanges();
    selection.addRange(range);
  }

  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (details) { details.open = true; });
  });
})();
