include:
  - app.stage
  - app.migrate
  - app.activate
  - app.retire
